import Multiprocessing

/// An account from which one process withdraws what another deposits, each 10,000 times, under one
/// lock: nothing is lost and nothing appears.
@main
enum Bank {
  struct Account: Codable, Sendable {
    var balance: Shared.Value<Double>
    var lock: Lock
    /// What is added at a time.
    var amount: Double
  }

  static let move = TaskDefinition<Account, NoResult>("move") { account in
    for _ in 0..<10_000 {
      try account.lock.withLock { account.balance.value += account.amount }
    }
    return NoResult()
  }

  static func main() throws {
    bootstrap([move])
    let balance = try Shared.Value(1000.0, lock: .none)
    let lock = try Lock()
    print("before: 1000.00")
    let processes = [1.0, -1.0].map { amount in
      Process(move, Account(balance: balance, lock: lock, amount: amount))
    }
    for process in processes { try process.start() }
    for process in processes { try process.join() }
    let cents = Int((balance.value * 100).rounded())
    let after = "\(cents / 100).\(cents % 100 / 10)\(cents % 10)"
    print("after 10,000 deposits and 10,000 withdrawals: \(after)")
  }
}
