import Glibc
import Multiprocessing
import TestSupport

/// What the workers of the scenarios can do.
enum TestTasks {
  struct Point: Codable, Sendable {
    var x: Int
    var y: Int
  }

  struct Refusal: Error, CustomStringConvertible {
    var description: String { "not today" }
  }

  /// A whole number of any size, as its digits: a type that writes its own JSON.
  struct Digits: JSONTextConvertible, Codable, Sendable {
    var jsonText: String
    init(jsonText: String) throws { self.jsonText = jsonText }
  }

  static let square = TaskDefinition<Int, Int>("square") { $0 &* $0 }
  static let echo = TaskDefinition<JSONValueText, JSONValueText>("echo") { $0 }
  static let digits = TaskDefinition<Digits, Digits>("digits") { $0 }
  static let sum = TaskDefinition<[Int], Int>("sum") { $0.reduce(0, +) }
  static let point = TaskDefinition<Point, Int>("point") { $0.x + $0.y }
  static let ratio = TaskDefinition<Double, Double>("ratio") { 1 / $0 }
  static let nothing = TaskDefinition<NoArgument, NoResult>("nothing") { _ in NoResult() }
  static let refuse = TaskDefinition<NoArgument, NoResult>("refuse") { _ in throw Refusal() }
  static let text = TaskDefinition<Int, String>("text") { String(repeating: "x", count: $0) }

  static let process = TaskDefinition<NoArgument, Int>("process") { _ in Int(getpid()) }
  static let descriptors = TaskDefinition<NoArgument, [Int]>("descriptors") { _ in
    openDescriptors()
  }
  static let warmed = TaskDefinition<NoArgument, String>("warmed") { _ in
    getenv("WARMED").map { String(cString: $0) } ?? ""
  }

  static let die = TaskDefinition<Int, NoResult>("die") { number in
    kill(getpid(), Int32(number))
    return NoResult()
  }
  static let leave = TaskDefinition<Int, NoResult>("leave") { code in exit(Int32(code)) }
  static let wait = TaskDefinition<Int, NoResult>("wait") { milliseconds in
    last(milliseconds: milliseconds)
    return NoResult()
  }
  /// Says in the file `path` that it ignores SIGTERM from now on, and never ends.
  static let stubborn = TaskDefinition<String, NoResult>("stubborn") { path in
    signal(SIGTERM, SIG_IGN)
    let file = open(path, O_WRONLY)
    _ = write(file, "stubborn\n", 9)
    while true { pause() }
  }
  struct Hold: Codable, Sendable {
    var path: String
    var milliseconds: Int
  }
  /// Says in the file `path` that it runs, and then takes its time.
  static let hold = TaskDefinition<Hold, NoResult>("hold") { hold in
    let file = open(hold.path, O_WRONLY)
    _ = write(file, "holding\n", 8)
    last(milliseconds: hold.milliseconds)
    return NoResult()
  }
  static let garbage = TaskDefinition<NoArgument, NoResult>("garbage") { _ in
    let bytes: [UInt8] = [255, 255, 255, 255, 1, 2, 3]
    _ = write(ChannelDeed.answers, bytes, bytes.count)
    while true { pause() }
  }
  /// Writes where its calls come from.
  static let backward = TaskDefinition<NoArgument, NoResult>("backward") { _ in
    _ = write(ChannelDeed.calls, [1, 2, 3] as [UInt8], 3)
    while true { pause() }
  }
  /// Answers a call that nobody asked for: a well-formed frame, and a lie.
  static let lie = TaskDefinition<NoArgument, NoResult>("lie") { _ in
    let frame: [UInt8] = [
      15, 0, 0, 0, 4, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, UInt8(ascii: "1"),
    ]
    _ = write(ChannelDeed.answers, frame, frame.count)
    while true { pause() }
  }
  /// Starts a process in a session of its own, says so in the file `path`, and never ends.
  static let orphan = TaskDefinition<String, NoResult>("orphan") { path in
    _ = startGrandchild()
    let file = open(path, O_WRONLY)
    _ = write(file, "started\n", 8)
    while true { pause() }
  }
  /// The same, but ends at once and answers the grandchild's process id.
  static let leaveOrphan = TaskDefinition<NoArgument, Int>("leaveOrphan") { _ in
    Int(startGrandchild())
  }

  static let warm = TaskDefinition<String, NoResult>("warm") { value in
    setenv("WARMED", value, 1)
    return NoResult()
  }
  static let cold = TaskDefinition<NoArgument, NoResult>("cold") { _ in throw Refusal() }

  static let all: [AnyTask] =
    [
      square.erased, echo.erased, digits.erased, sum.erased, point.erased, ratio.erased,
      nothing.erased, refuse.erased, text.erased, process.erased, descriptors.erased, warmed.erased,
      die.erased, leave.erased, wait.erased, stubborn.erased, hold.erased, garbage.erased,
      lie.erased, backward.erased, orphan.erased, leaveOrphan.erased,
    ] + ChannelScenarios.tasks

  static func startGrandchild() -> Int32 {
    var process: Int32 = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = ["setsid", "sleep", "300"].map {
      (text: String) in
      strdup(text)
    }
    arguments.append(nil)
    let failure = posix_spawnp(&process, "setsid", nil, nil, &arguments, environ)
    check(failure, equals: 0)
    return process
  }
}
