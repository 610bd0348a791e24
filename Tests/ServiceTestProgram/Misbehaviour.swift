import Glibc
import Multiprocessing
import TestSupport

/// Workers that do what no worker of ours does. A worker runs other people's code, and that code
/// can reach the channel; so here it does.
///
/// The frames are written by hand, as `Sources/Multiprocessing/Worker/Frame.swift` has them.
enum Misbehaviour {
  static let tasks: [AnyTask] = [
    misbehave.erased, stubborn.erased, badText.erased, text.erased, raise.erased,
  ]

  /// What to do, and the number of a call, which not everything needs.
  struct Wish: Codable, Sendable {
    var how: String
    var call: UInt64
  }

  /// `misbehave(how=…, call=…)`: one of the words in `act`. What does not end the worker by itself
  /// waits to be killed, deaf to SIGTERM.
  static let misbehave = TaskDefinition<Wish, Int>("misbehave") { wish in
    if !act(wish) {
      signal(SIGTERM, SIG_IGN)
      while true { Glibc.pause() }
    }
    return 1
  }

  /// `stubborn()`: never ends, whatever SIGTERM says.
  static let stubborn = TaskDefinition<NoArgument, Int>("stubborn") { _ in
    signal(SIGTERM, SIG_IGN)
    while true { Glibc.pause() }
  }

  /// A result that writes its own JSON, wrongly: the text that was its argument, as it is.
  struct BadText: JSONTextConvertible, Codable, Sendable {
    var jsonText: String
    init(jsonText: String) throws { self.jsonText = jsonText }
  }

  /// `bad_text(text)`: answers with that text as if it were JSON.
  static let badText = TaskDefinition<String, BadText>("bad_text") { try BadText(jsonText: $0) }

  /// `text(count)`: so many letters.
  static let text = TaskDefinition<Int, String>("text") { String(repeating: "x", count: $0) }

  /// A failure with a long story.
  struct Story: Error, CustomStringConvertible {
    var description: String
  }

  /// `raise(count)`: fails with a message of so many letters.
  static let raise = TaskDefinition<Int, Int>("raise") {
    throw Story(description: String(repeating: "x", count: $0))
  }

  // MARK: Frames

  static let hello: UInt8 = 1
  static let ready: UInt8 = 2
  static let returned: UInt8 = 4
  static let raised: UInt8 = 5

  static func frame(_ kind: UInt8, call: UInt64, _ payload: [UInt8] = []) -> [UInt8] {
    bytes(of: UInt32(9 + payload.count)) + [kind] + bytes(of: call) + payload
  }

  /// An answer that took no time, by a worker that does not retire.
  static func answer(_ call: UInt64, _ text: [UInt8], kind: UInt8 = returned) -> [UInt8] {
    frame(kind, call: call, [0, 0, 0, 0, 0] + text)
  }

  static func bytes<Number: FixedWidthInteger & BitwiseCopyable>(of number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }

  /// Writes until it is done, or nobody takes it.
  static func say(_ bytes: [UInt8]) {
    let answers = ChannelDeed.answers
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        write(answers, $0.baseAddress! + sent, bytes.count - sent)
      }
      guard count > 0 else { return }
      sent += count
    }
  }

  // MARK: Deeds

  /// Does what `wish` says. Returns whether the task goes on to return.
  static func act(_ wish: Wish) -> Bool {
    if let returns = reachForChannel(wish.how) { return returns }
    switch wish.how {
    case "random": say((0..<4096).map { _ in UInt8.random(in: 128...255) })
    case "endless": sayWithoutEnd()
    case "long": say(answer(wish.call, [UInt8](repeating: 49, count: 12 << 20)))
    case "unasked": for _ in 0..<100_000 { say(frame(ready, call: 0)) }
    case "hello": say(frame(hello, call: 0, bytes(of: UInt32(1)) + bytes(of: UInt32(1))))
    case "kind": say(frame(77, call: wish.call))
    case "short": say(frame(returned, call: wish.call, [0, 0]))
    case "empty": say(answer(wish.call, []))
    case "line feed": say(answer(wish.call, Array("[1,\n2]".utf8)))
    case "two lines": say(answer(wish.call, Array("1\n{\"crc\":\"00000000\"}".utf8)))
    case "no json": say(answer(wish.call, Array("49}}".utf8)))
    case "utf8": say(answer(wish.call, [34, 0xff, 0xfe, 34]))
    case "surrogate": say(answer(wish.call, Array("\"\\ud800\"".utf8)))
    case "deep":
      let depth = 100_000
      say(
        answer(
          wish.call,
          [UInt8](repeating: 91, count: depth) + [UInt8](repeating: 93, count: depth)))
    case "bad error": say(answer(wish.call, Array("{\"code\":".utf8), kind: raised))
    case "other": say(answer(wish.call, Array("666".utf8)))
    case "twice":
      say(answer(wish.call, Array("1".utf8)))
      return true
    case "deaf":
      stopReading()
      return true
    case "claims":
      claimEverything()
      return false
    default: return true
    }
    return false
  }

  /// A `ChannelDeed`, after which the task goes on; or `and return: ` and one; or `at a signal: `
  /// and one, when it has returned; or that nothing is left of the channel but its numbers, which
  /// are those of the file `E2E_FILE`. Returns whether the task returns; nil for other words.
  private static func reachForChannel(_ how: String) -> Bool? {
    let words = how.split(separator: ": ", maxSplits: 1).map(String.init)
    guard let deed = words.last.flatMap(ChannelDeed.init(rawValue:)) else {
      guard how == "replace all", let path = getenv("E2E_FILE") else { return nil }
      ChannelDeed.replaceAll(by: String(cString: path))
      return true
    }
    switch words[0] {
    case "at a signal": deed.performAtSignal()
    default: deed.perform()
    }
    return words.count > 1
  }

  /// A frame of the greatest length, a byte at a time at first, and never all of it.
  private static func sayWithoutEnd() {
    say(bytes(of: UInt32(8 << 20)) + [returned])
    for _ in 0..<1_000 { say([49]) }
    let piece = [UInt8](repeating: 49, count: 1 << 20)
    while write(ChannelDeed.answers, piece, piece.count) > 0 {}
  }

  /// From here on its worker, which answers this call by its pipe, reads a socket that nobody
  /// writes to, while the one of its calls stays open.
  private static func stopReading() {
    let calls = ChannelDeed.calls
    _ = dup(calls)
    var ends: [Int32] = [0, 0]
    _ = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
    _ = dup2(ends[0], calls)
  }

  /// Scribbles over the page that it shares with the server.
  private static func claimEverything() {
    guard let maps = fopen("/proc/self/maps", "r") else { return }
    defer { fclose(maps) }
    var line = [CChar](repeating: 0, count: 4096)
    while fgets(&line, Int32(line.count), maps) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      guard text.contains("lido-claims"), let end = text.firstIndex(of: "-"),
        let address = UInt(text[..<end], radix: 16)
      else { continue }
      UnsafeMutablePointer<UInt64>(bitPattern: address)?.pointee = 0xffff_ffff
    }
  }

  // MARK: Before the first call

  /// What a spawned worker does instead of coming to life: with `E2E_NO_SPAWN` it ends; otherwise
  /// the file that `E2E_WORKER` names says it, which tests can change while the service runs.
  static func misbehaveAtStart() {
    guard let role = getenv("LIDO_BOOT"), String(cString: role).hasPrefix("worker") else { return }
    if getenv("E2E_NO_SPAWN") != nil { _exit(3) }
    guard let path = getenv("E2E_WORKER"), let file = fopen(path, "r") else { return }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 64)
    guard fgets(&line, Int32(line.count), file) != nil else { return }
    switch String(decoding: line.prefix { $0 > 32 }.map(UInt8.init(bitPattern:)), as: UTF8.self) {
    case "exit": _exit(3)
    case "hang": waitForTheEnd()
    case "version":
      say(frame(hello, call: 0, bytes(of: UInt32(99)) + bytes(of: UInt32(getpid()))))
      waitForTheEnd()
    case "ready":  // Without a hello.
      say(frame(ready, call: 0))
      waitForTheEnd()
    case "hello":  // Without ever being ready.
      say(
        frame(
          hello, call: 0,
          bytes(of: UInt32(1)) + bytes(of: UInt32(getpid())) + [5]
            + Array("sleep".utf8)))
      waitForTheEnd()
    default: break
    }
  }

  private static func waitForTheEnd() -> Never {
    while true { Glibc.pause() }
  }
}
