import Glibc
import Multiprocessing
import TestSupport

/// The rows of sections 1.5 and 1.6 that need another process: values, arrays and locks.
enum SharedRows {
  static let all: [String: ConformanceProgram.Row] = [
    "V1": values, "V3": sharedLock, "A1": arrays, "A2": zeroes, "K4": locked,
    "counter": counter, "failure-2": killedHolder,
  ]

  static let tasks: [any RegistrableTask] = [
    setValues, sumUp, hold, count, holdAndDie, addUnderLock,
  ]

  struct Values: Codable, Sendable {
    var int: Shared.Value<Int32>
    var double: Shared.Value<Double>
    var short: Shared.Value<Int16>
    var long: Shared.Value<Int64>
    var byte: Shared.Value<UInt8>
  }

  static let setValues = TaskDefinition<Values, NoResult>("setValues") { values in
    values.int.value = 24
    values.double.value = 9.5
    values.short.value = -300
    values.long.value = 1 << 40
    values.byte.value = 255
    return NoResult()
  }

  private static func run<A>(_ task: TaskDefinition<A, NoResult>, _ argument: A) throws {
    let process = Process(task, argument)
    try process.start()
    try process.join()
    try check(process.exitcode, equals: 0)
  }

  private static func values(_ context: Context) throws {
    let values = Values(
      int: try Shared.Value(1), double: try Shared.Value(2.5), short: try Shared.Value(-3),
      long: try Shared.Value(4, lock: .none), byte: try Shared.Value(5, lock: .none))
    check(values.int.value == 1 && values.double.value == 2.5, "initial values")
    try run(setValues, values)
    check(values.int.value, equals: 24)
    check(values.double.value, equals: 9.5)
    check(values.short.value, equals: -300)
    check(values.long.value, equals: 1 << 40)
    check(values.byte.value, equals: 255)
  }

  struct Account: Codable, Sendable {
    var lock: RLock
    var first: Shared.Value<Int>
    var second: Shared.Value<Int>
  }

  static let addUnderLock = TaskDefinition<Account, NoResult>("addUnderLock") { account in
    for _ in 0..<1_000 {
      try account.lock.withLock {
        account.first.value += 1
        account.second.value -= 1
      }
    }
    return NoResult()
  }

  private static func sharedLock(_ context: Context) throws {
    let lock = try RLock()
    let account = Account(
      lock: lock, first: try Shared.Value(0, lock: .shared(lock)),
      second: try Shared.Value(0, lock: .shared(lock)))
    let processes = (0..<3).map { _ in Process(addUnderLock, account) }
    for process in processes { try process.start() }
    for process in processes { try process.join() }
    check(account.first.value, equals: 3_000)
    check(account.second.value, equals: -3_000)
  }

  static let sumUp = TaskDefinition<Shared.Array<Int32>, NoResult>("sumUp") { array in
    for index in 1..<array.count { array[index] += array[index - 1] }
    return NoResult()
  }

  private static func arrays(_ context: Context) throws {
    let numbers: [Int32] = [680, 626, 934, 821, 150, 233, 548, 982, 714, 831]
    let array = try Shared.Array(numbers)
    check(array.count, equals: 10)
    check(Array(array[2..<5]), equals: [934, 821, 150])
    array[4..<8] = [1, 2, 3, 4]
    let before = Array(array)
    try run(sumUp, array)
    var sum: Int32 = 0
    let expected = before.map { number in
      sum += number
      return sum
    }
    check(Array(array), equals: expected)
  }

  private static func zeroes(_ context: Context) throws {
    for _ in 0..<3 {
      let array = try Shared.Array<Int32>(count: 10)
      check(Array(array), equals: .init(repeating: 0, count: 10))
      array[0..<10] = (0..<10).map { $0 }
    }
  }

  struct Held: Codable, Sendable {
    var lock: Lock
    var isHeld: Shared.Value<Int32>
    /// Held by the parent until the child may let go.
    var gate: Lock
  }

  static let hold = TaskDefinition<Held, NoResult>("hold") { held in
    try held.lock.withLock {
      held.isHeld.value = held.lock.isLocked ? 1 : 2
      try held.gate.acquire()
      try held.gate.release()
    }
    return NoResult()
  }

  private static func locked(_ context: Context) throws {
    let held = Held(lock: try Lock(), isHeld: try Shared.Value(0), gate: try Lock())
    check(!held.lock.isLocked, "locked before")
    try held.gate.acquire()
    let process = Process(hold, held)
    try process.start()
    while held.isHeld.value == 0 { sched_yield() }
    check(held.isHeld.value, equals: 1)
    check(held.lock.isLocked, "the other process does not hold it")
    try check(held.lock.acquire(block: false), equals: false)
    try check(held.lock.acquire(timeout: .milliseconds(20)), equals: false)
    check(try held.lock.release(), throws: { (error: LockError) in error.code == .notOwner })
    try held.gate.release()
    try process.join()
    try check(process.exitcode, equals: 0)
    check(!held.lock.isLocked, "locked after")
  }

  static let count = TaskDefinition<Shared.Value<Int>, NoResult>("count") { value in
    for _ in 0..<1_000 { try value.withLock { $0 += 1 } }
    return NoResult()
  }

  private static func counter(_ context: Context) throws {
    let value = try Shared.Value(0)
    let processes = (0..<4).map { _ in Process(count, value) }
    for process in processes { try process.start() }
    for process in processes { try process.join() }
    check(value.value, equals: 4_000)
  }

  static let holdAndDie = TaskDefinition<Lock, NoResult>("holdAndDie") { lock in
    try lock.acquire()
    kill(getpid(), SIGKILL)
    return NoResult()
  }

  private static func killedHolder(_ context: Context) throws {
    let lock = try Lock()
    let process = Process(holdAndDie, lock)
    try process.start()
    try process.join()
    try check(process.exitcode, equals: -SIGKILL)
    do throws(LockError) {
      try lock.acquire(timeout: .seconds(5))
      fail("the holder's death is not told")
    } catch {
      check(error.code, equals: .lockOwnerDied)
      try check(error.owner, equals: process.pid)
    }
    try check(lock.acquire(timeout: .seconds(5)), equals: true)
    try lock.release()
  }
}
