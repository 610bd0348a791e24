import Lido
import Multiprocessing
import Synchronization

/// The tasks of this program: functions with a name. Whatever is `Codable & Sendable` can be
/// argument and result. They run in processes of their own, one call at a time in each, so they
/// share nothing but what their arguments say.
enum Tasks {
  /// One argument: `"args":["lido"]`.
  static let shout = TaskDefinition<String, String>("shout") { $0.uppercased() + "!" }

  /// Several: `"args":[3,4]`; as items of a map `[[3,4],[5,6]]` with `"star":true`.
  static let area = TaskDefinition("area") { (width: Double, height: Double) in width * height }

  /// Arguments by name: `"kwargs":{"item":"oar","count":2}`. What it throws is the job's error: the
  /// type's name and the description.
  static let price = TaskDefinition<Order, Invoice>("price") { order in
    guard order.count > 0 else { throw OrderError.countOutOfRange(order.count) }
    let each = Prices.byItem.withLock { $0[order.item] }
    guard let each else { throw OrderError.unknownItem(order.item) }
    return Invoice(order: order, total: each * Double(order.count))
  }

  /// No argument: `{"task":"items"}`. `NoResult` is for a task that has nothing to answer.
  static let items = TaskDefinition<NoArgument, [String]>("items") { _ in
    Prices.byItem.withLock { $0.keys.sorted() }
  }

  /// One that takes long: how many primes there are up to a number. It need do nothing to be
  /// cancelled: its process is ended, and another takes its place.
  static let countPrimes = TaskDefinition<Int, Int>("count_primes") { bound in
    var primes: [Int] = []
    for number in stride(from: 2, through: bound, by: 1)
    where !primes.prefix(while: { $0 * $0 <= number }).contains(where: { number % $0 == 0 }) {
      primes.append(number)
    }
    return primes.count
  }

  /// No task, but what each worker may run before its first call: lido.yaml names it.
  static let loadPrices = TaskDefinition<[String: Double], NoResult>("load_prices") { prices in
    guard prices.values.allSatisfy({ $0 > 0 }) else { throw OrderError.priceOutOfRange }
    Prices.byItem.withLock { $0 = prices }
    return NoResult()
  }
}

/// What is asked for.
struct Order: Codable, Sendable {
  var item: String
  var count: Int
}

/// What is answered.
struct Invoice: Codable, Sendable {
  var order: Order
  var total: Double
}

/// What can be wrong with an order.
enum OrderError: Error, CustomStringConvertible {
  case unknownItem(String)
  case countOutOfRange(Int)
  case priceOutOfRange

  var description: String {
    switch self {
    case .unknownItem(let item): "nobody sells '\(item)'"
    case .countOutOfRange(let count): "\(count) is no count of things"
    case .priceOutOfRange: "a price is more than nothing"
    }
  }
}

/// What a worker keeps from call to call: each has its own, made by its initializer.
enum Prices {
  static let byItem = Mutex<[String: Double]>([:])
}

/// The whole program. Nothing stands before `Lido.main`, and `main` is not `async`: this same file
/// is the server, its fork server and each of the workers.
@main
enum Program {
  static func main() {
    Lido.main(
      tasks: [Tasks.shout, Tasks.area, Tasks.price, Tasks.items, Tasks.countPrimes],
      initializers: [Tasks.loadPrices])
  }
}
