import Multiprocessing
import TestSupport

/// Definitions that share a name: the task that runs is the one that was asked for, or none.
enum NamesakeScenarios {
  static let all: [String: @Sendable () throws -> Void] = [
    "namesake": refused, "namesake-types": refusedTypes, "namesake-remade": remade,
  ]

  /// Of the name of `Tasks.square`.
  static let cube = TaskDefinition<Int, Int>("square") { $0 * $0 * $0 }
  /// Of the name of `Tasks.mul`, which has several parameters.
  static let sum = TaskDefinition("mul") { (x: Int, y: Int) in x + y }
  /// Of the name of `Tasks.warm`.
  static let chill = TaskDefinition<String, NoResult>("warm") { _ in NoResult() }

  /// Made anew each time, at one place.
  static var increment: TaskDefinition<Int, Int> { TaskDefinition("increment") { $0 + 1 } }

  /// One place, and a task for each type.
  enum Generic<Number: FixedWidthInteger & Codable & Sendable> {
    static var half: TaskDefinition<Number, Number> { TaskDefinition("half") { $0 / 2 } }
  }

  static let registered: [any RegistrableTask] = [increment, Generic<Int>.half]

  /// Nothing is started for it, by whatever way it is called.
  static func refused() throws {
    try Pool.with(processes: 1) { pool in
      for error in [
        thrown(ProgramError.self) { try pool.apply(cube, 3) },
        thrown(ProgramError.self) { try pool.map(cube, [3]) },
        thrown(ProgramError.self) { try pool.imap(cube, [3]) },
        thrown(ProgramError.self) { try pool.imapUnordered(cube, [3]) },
      ] {
        guard case .otherTask("square", let given, let registered) = error.code else {
          fail("\(error)")
        }
        check(given.hasPrefix("PoolTestProgram/NamesakeScenarios.swift:11:"), given)
        check(registered.hasPrefix("PoolTestProgram/Tasks.swift:"), registered)
        check("\(error)".contains(given) && "\(error)".contains(registered), "\(error)")
      }
      _ = thrown(ProgramError.self) { try pool.apply(sum, 3, 4) }
      _ = thrown(ProgramError.self) { try pool.starmap(sum, [(3, 4)]) }
      try check(try pool.map(Tasks.square, [3]), equals: [9])
    }
    _ = thrown(ProgramError.self) { try Pool(initializer: chill, initArgument: "") }
    let process = Process(cube, 3)
    let error = thrown(ProcessError.self) { try process.start() }
    guard case .program(let cause) = error.code, case .otherTask = cause.code else {
      fail("\(error)")
    }
    try check(try process.pid == nil)
  }

  /// A pool would run integer division on what is no integer.
  static func refusedTypes() throws {
    try Pool.with(processes: 1) { pool in
      try check(try pool.apply(Generic<Int>.half, 8), equals: 4)
      let error = thrown(ProgramError.self) { try pool.apply(Generic<Int8>.half, 8) }
      check("\(error)".contains("(Int8 -> Int8)"), "\(error)")
      check("\(error)".contains("(Int -> Int)"), "\(error)")
    }
  }

  static func remade() throws {
    // First, as `fork` is for a process of one thread.
    let process = Process(increment, 1, context: .fork)
    try process.start()
    try process.join()
    try check(try process.exitcode, equals: 0)
    try Pool.with(processes: 1) { pool in
      try check(try pool.map(increment, [1, 2]), equals: [2, 3])
    }
  }
}
