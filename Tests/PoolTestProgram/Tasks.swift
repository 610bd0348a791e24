import Glibc
import Multiprocessing
import TestSupport

/// What the workers of the scenarios can do.
enum Tasks {
  /// Travels whole.
  struct ValueError: Error, Codable, Equatable {
    var text: String
  }

  /// Travels as a name and a text.
  struct PlainError: Error, Equatable {
    var text: String
  }

  /// Encodes, but does not decode.
  struct OneWayError: Error, Codable {
    init() {}
    init(from decoder: any Decoder) throws { throw PlainError(text: "no way back") }
    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      try container.encode("gone")
    }
  }

  /// Does not encode.
  struct Locked: Codable, Sendable {
    func encode(to encoder: any Encoder) throws { throw PlainError(text: "locked") }
  }

  /// Encodes, but does not decode, as an argument.
  struct Broken: Codable, Sendable {
    init() {}
    init(from decoder: any Decoder) throws { throw PlainError(text: "broken on arrival") }
    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      try container.encode("x")
    }
  }

  /// Known by reference here, and copied there.
  final class Thing: Codable, Sendable {
    let number: Int
    init(_ number: Int) { self.number = number }
  }

  static let square = TaskDefinition<Int, Int>("square") { $0 * $0 }
  static let mul = TaskDefinition("mul") { (x: Int, y: Int) in x * y }
  static let number = TaskDefinition<String, Int>("number", throwing: [ValueError.self]) { text in
    guard let number = Int(text) else { throw ValueError(text: "invalid literal: '\(text)'") }
    return number
  }
  static let plain = TaskDefinition<Int, Int>("plain") { throw PlainError(text: "number \($0)") }
  static let oneWay = TaskDefinition<Int, Int>("oneWay", throwing: [OneWayError.self]) { _ in
    throw OneWayError()
  }
  static let nothing = TaskDefinition<NoArgument, NoResult>("nothing") { _ in NoResult() }
  static let thing = TaskDefinition<Thing, Thing>("thing") { $0 }
  static let pid = TaskDefinition<Int, Int32>("pid") { _ in getpid() }
  static let locked = TaskDefinition<Locked, Int>("locked") { _ in 1 }
  static let broken = TaskDefinition<Broken, Int>("broken") { _ in 1 }
  static let unencodable = TaskDefinition<Int, Locked>("unencodable") { _ in Locked() }
  static let infinite = TaskDefinition<Int, Double>("infinite") { 1 / Double($0) }
  static let unheard = TaskDefinition<Int, Int>("unheard") { $0 }
  static let wait = TaskDefinition<Int, Int>("wait") { milliseconds in
    last(milliseconds: milliseconds)
    return milliseconds
  }
  /// -1 fails at once, with a text of 1 MiB; others take so many milliseconds.
  static let failFast = TaskDefinition<Int, Int>("failFast", throwing: [ValueError.self]) { time in
    if time < 0 { throw ValueError(text: String(repeating: "x", count: 1 << 20)) }
    last(milliseconds: time)
    return time
  }
  /// Writes its number to the descriptor, and fails if it is odd and that is asked for.
  static let noted = TaskDefinition("noted", throwing: [ValueError.self]) {
    (path: String, number: Int, bad: Int) in
    let file = open(path, O_WRONLY | O_APPEND)
    _ = write(file, "\(number)\n", "\(number)\n".utf8.count)
    close(file)
    if number == bad { throw ValueError(text: "\(number)") }
    return number
  }
  static let die = TaskDefinition<Int32, Int>("die") { signal in
    while true { kill(getpid(), signal) }
  }
  static let leave = TaskDefinition<Int32, Int>("leave") { code in exit(code) }
  static let trap = TaskDefinition<Int, Int>("trap") { zero in
    precondition(zero != 0, "a trap, on purpose")
    return zero
  }
  /// Says its pid in the file and then hears no SIGTERM.
  static let stubborn = TaskDefinition<String, Int>("stubborn") { path in
    signal(SIGTERM, SIG_IGN)
    say(path)
    while true { pause() }
  }
  /// Says its pid in the file and never ends.
  static let hold = TaskDefinition<String, Int>("hold") { path in
    say(path)
    while true { pause() }
  }
  static let saidWait = TaskDefinition<String, Int>("saidWait") { path in
    say(path)
    last(milliseconds: 100)
    return 100
  }
  static let nested = TaskDefinition<Int, [Int]>("nested") { count in
    try Pool.with(processes: 2) { pool in try pool.map(square, 0..<count) }
  }
  static let nestedInProcess = TaskDefinition<NoArgument, NoResult>("nestedInProcess") { _ in
    if try nested.body(5) != [0, 1, 4, 9, 16] { exit(1) }
    return NoResult()
  }

  static let warm = TaskDefinition<String, NoResult>("warm") { value in
    setenv("WARMED", (getenv("WARMED").map { String(cString: $0) } ?? "") + value, 1)
    return NoResult()
  }
  static let warmed = TaskDefinition<Int, String>("warmed") { _ in
    getenv("WARMED").map { String(cString: $0) } ?? ""
  }
  static let cold = TaskDefinition<NoArgument, NoResult>("cold") { _ in
    throw PlainError(text: "too cold")
  }
  static let deadly = TaskDefinition<NoArgument, NoResult>("deadly") { _ in
    kill(getpid(), SIGKILL)
    return NoResult()
  }

  private static func say(_ path: String) {
    let file = open(path, O_WRONLY)
    _ = write(file, "\(getpid())\n", "\(getpid())\n".utf8.count)
    close(file)
  }

  static let all: [any RegistrableTask] =
    [
      square, mul, number, plain, oneWay, nothing, thing, pid, locked, broken, unencodable,
      infinite, saidWait, wait, failFast, noted, die, leave, trap, stubborn, hold, nested,
      nestedInProcess, warm,
      warmed, cold,
      deadly,
    ] + inherited + NamesakeScenarios.registered + CatchScenarios.registered
    + PrintScenarios.registered + TextScenarios.registered + OpenScenarios.registered
    + ChannelScenarios.registered
}
