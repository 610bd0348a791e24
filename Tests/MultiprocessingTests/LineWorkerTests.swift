import JSON
import Testing

@testable import Multiprocessing

/// One line worker as a value: lines in, lines and events out.
@Suite struct LineWorkerTests {
  /// A worker, and what it was sent and led to.
  private final class Played {
    var worker: LineWorker
    private var output = JSONWriter()
    private var events: [LineWorker.Event] = []

    init(resultBytesMax: Int = 1_000) {
      worker = LineWorker(resultBytesMax: resultBytesMax)
    }

    /// One that is ready.
    static func ready(chunks: Bool = false, resultBytesMax: Int = 1_000) -> Played {
      let played = Played(resultBytesMax: resultBytesMax)
      #expect(
        played.say(#"{"ready":{"protocol":1,"tasks":["t"],"chunks":\#(chunks)}}"#) == nil)
      _ = played.takeEvents()
      return played
    }

    /// What is wrong with a line; nil: nothing.
    func say(_ line: String) -> String? {
      Array(line.utf8).withUnsafeBufferPointer { worker.take($0, &output, &events) }
    }

    func begin(_ kind: LineCall.Kind, members: String = "") {
      let call = LineCall(number: 500, task: "t", kind: kind, members: members)
      worker.begin(call, &output, &events)
    }

    func takeEvents() -> [LineWorker.Event] {
      defer { events = [] }
      return events
    }

    /// What it was sent since the last time, by line.
    func takeLines() -> [String] {
      defer { output.removeAll() }
      return String(decoding: output.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
  }

  private static let plain = LineCall.Kind.call(args: "[7]", kwargs: "")

  private func returned(_ text: String) -> [LineWorker.Event] {
    [.ended(call: 500, .returned(text))]
  }

  private func raised(_ text: String) -> [LineWorker.Event] {
    [.ended(call: 500, .raised(text))]
  }

  // MARK: Calls

  @Test func `it says what it is when it is ready`() {
    let played = Played()
    #expect(
      played.say(
        #"{"ready":{"protocol":1,"tasks":["a","b"],"language":"x","chunks":true,"dynamic":true,"#
          + #""later":[1]}}"#) == nil)
    #expect(
      played.takeEvents() == [
        .ready(
          LineWorkerReady(version: 1, tasks: ["a", "b"], takesChunks: true, isDynamic: true))
      ])
    #expect(played.say(#"{"ready":{"protocol":1,"tasks":[]}}"#) == "'ready' out of turn")
  }

  @Test func `a call and its answer, numbered by this side alone`() {
    let played = Played.ready()
    played.begin(Self.plain, members: #""attempt":2,"job":"j""#)
    #expect(
      played.takeLines() == [
        #"{"call":1,"task":"t","args":[7],"kwargs":{},"attempt":2,"job":"j"}"#
      ])
    #expect(played.say(#" { "return" : 1 , "value" : [ 1, {"a": 2.50} ] } "#) == nil)
    #expect(played.takeEvents() == returned(#"[1,{"a":2.50}]"#))
    #expect(played.worker.call == nil)
    played.begin(.call(args: "[]", kwargs: #"{"n":1}"#))
    #expect(played.takeLines() == [#"{"call":2,"task":"t","args":[],"kwargs":{"n":1}}"#])
  }

  @Test func `an error keeps what it says of itself`() {
    let played = Played.ready()
    played.begin(Self.plain)
    #expect(
      played.say(
        #"{"raise":1,"error":{"type":"KeyError","message":"'a'","args":["a"],"module":"builtins","#
          + #""traceback":"at x","pickle":"gASV","other":[1]}}"#) == nil)
    #expect(
      played.takeEvents()
        == raised(
          #"{"code":"raised","type":"KeyError","message":"'a'","traceback":"at x","#
            + #""module":"builtins","args":["a"],"pickle":"gASV"}"#))
  }

  @Test(arguments: [
    (#"{}"#, "raised", "Error"), (#"{"code":"argument_decoding"}"#, "argument_decoding", "Error"),
    (#"{"code":"result_encoding","type":"T"}"#, "result_encoding", "T"),
    (#"{"code":"task_not_found","type":"T"}"#, "raised", "TaskNotFound"),
    (#"{"code":"timed_out","type":null}"#, "raised", "Error"),
  ])
  func `codes of an error that a worker cannot know are not taken`(
    error: String, code: String, type: String
  ) {
    let played = Played.ready()
    played.begin(Self.plain)
    #expect(played.say(#"{"raise":1,"error":\#(error)}"#) == nil)
    #expect(
      played.takeEvents() == raised(#"{"code":"\#(code)","type":"\#(type)","message":""}"#))
  }

  @Test func `what belongs to an exception is left out where it is too much`() {
    let played = Played.ready(resultBytesMax: 20)
    played.begin(Self.plain)
    let pickle = String(repeating: "A", count: 30)
    #expect(
      played.say(#"{"raise":1,"error":{"type":"T","args":[1],"pickle":"\#(pickle)"}}"#) == nil)
    #expect(played.takeEvents() == raised(#"{"code":"raised","type":"T","message":""}"#))
  }

  @Test func `a result that is too large fails its call and not its worker`() {
    let played = Played.ready(resultBytesMax: 5)
    played.begin(Self.plain)
    #expect(played.say(#"{"return":1,"value":"1234"}"#) == nil)
    guard case .ended(500, .raised(let text))? = played.takeEvents().first else {
      Issue.record("no error")
      return
    }
    #expect(text.contains(#""code":"output_limit""#))
    played.begin(Self.plain)
    #expect(played.say(#"{"return":2,"value":"123"}"#) == nil)
    #expect(played.takeEvents() == returned(#""123""#))
  }

  @Test func `a result that is nested too deep fails its call and not its worker`() {
    for (depth, isTaken) in [(64, true), (65, false), (500, false)] {
      let played = Played.ready()
      played.begin(Self.plain)
      let value = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
      #expect(played.say(#"{"return":1,"value":\#(value)}"#) == nil)
      guard case .ended(500, let outcome)? = played.takeEvents().first else {
        Issue.record("no end")
        return
      }
      switch outcome {
      case .returned(let text): #expect(isTaken && text == value)
      case .raised(let text): #expect(!isTaken && text.contains(#""code":"result_encoding""#))
      }
    }
  }

  @Test func `progress and items come before the end, and those that are late are no harm`() {
    let played = Played.ready()
    played.begin(Self.plain)
    #expect(played.say(#"{"progress":1,"value":0.4,"message":"m"}"#) == nil)
    #expect(played.say(#"{"progress":1,"message":null}"#) == nil)
    #expect(played.say(#"{"item":1,"value":[1, 2]}"#) == nil)
    #expect(played.say(#"{"return":1,"value":null}"#) == nil)
    #expect(played.say(#"{"progress":1,"value":1}"#) == nil)
    #expect(
      played.takeEvents() == [
        .progressed(call: 500, value: "0.4", message: "m"),
        .progressed(call: 500, value: "null", message: nil), .item(call: 500, value: "[1,2]"),
      ] + returned("null"))
  }

  @Test func `a call that is to end is told so, and an idle worker that it is to go`() {
    let played = Played.ready()
    var output = JSONWriter()
    played.worker.writeCancel(&output)
    #expect(output.bytes.isEmpty)
    played.begin(Self.plain)
    played.worker.writeCancel(&output)
    played.worker.writeStop(&output)
    #expect(String(decoding: output.bytes, as: UTF8.self) == "{\"cancel\":1}\n{\"stop\":true}\n")
  }

  @Test func `it may retire, and fail before it is ready`() {
    let played = Played.ready()
    #expect(played.say(#"{"retiring":true}"#) == nil)
    #expect(played.takeEvents() == [.retiring])
    let other = Played()
    #expect(
      other.say(#"{"failed":{"type":"OSError","message":"no disk","traceback":"x"}}"#) == nil)
    #expect(other.takeEvents() == [.failed(message: "OSError: no disk")])
    #expect(other.say(#"{"ready":{"protocol":1,"tasks":[]}}"#) == "'ready' out of turn")
  }

  // MARK: Faults

  @Test(arguments: [
    ("", "not JSON"), ("no", "object"), ("x", "not JSON"), ("{}", "without a name"),
    ("[1]", "object"),
    ("7", "object"), (#"{"return":1}"#, "lacks its 'value'"),
    (#"{"return":1,"value":}"#, "not JSON"), (#"{"return":1,"value":1} {}"#, "not JSON"),
    (#"{"return":"1","value":1}"#, "number"), (#"{"return":-1,"value":1}"#, "negative"),
    (#"{"return":1.5,"value":1}"#, "number"), (#"{"return":2,"value":1}"#, "does not owe"),
    (#"{"return":0,"value":1}"#, "does not owe"), (#"{"raise":9,"error":{}}"#, "does not owe"),
    (#"{"raise":1,"error":"no"}"#, "object"), (#"{"raise":1}"#, "lacks its 'error'"),
    (#"{"hello":1}"#, "it has 'hello'"), (#"{"call":1}"#, "it has 'call'"),
    (#"{"return":1,"value":"\ud800"}"#, "not JSON"), (#"{"return":1,"value":NaN}"#, "not JSON"),
    (#"{"failed":{}}"#, "out of turn"), (#"{"retiring":1}"#, "true or false"),
    (#"{"return":99999999999999999999,"value":1}"#, "number"),
  ])
  func `a line that is no message, or an answer that is not owed, is a fault`(
    line: String, words: String
  ) {
    let played = Played.ready()
    played.begin(Self.plain)
    let fault = played.say(line)
    #expect(fault != nil)
    // What the reader of JSON says of a wrong type is its own.
    if !["object", "number", "true or false"].contains(words) {
      #expect(fault?.contains(words) == true, "\(fault ?? "")")
    }
    #expect(played.takeEvents() == [])
  }

  @Test func `an answer that comes twice is a fault the second time`() {
    let played = Played.ready()
    played.begin(Self.plain)
    #expect(played.say(#"{"return":1,"value":1}"#) == nil)
    #expect(
      played.say(#"{"return":1,"value":1}"#) == "an answer to call 1, which it does not owe")
  }

  @Test func `before it is ready a worker can only become so, or fail`() {
    for line in [#"{"return":1,"value":1}"#, #"{"retiring":true}"#] {
      #expect(Played().say(line) != nil)
    }
    #expect(Played().say(#"{"ready":{"tasks":[]}}"#) == "protocol version 0 instead of 1")
    #expect(
      Played().say(#"{"ready":{"protocol":2,"tasks":[]}}"#) == "protocol version 2 instead of 1")
    #expect(
      Played().say(#"{"ready":{"protocol":1,"tasks":[""]}}"#) == "a task with a name of 0 bytes")
  }

  @Test func `a progress is bounded`() {
    let played = Played.ready()
    played.begin(Self.plain)
    let text = String(repeating: "x", count: 20_000)
    #expect(
      played.say(#"{"progress":1,"value":1,"message":"\#(text)"}"#)?.contains("progress") == true)
  }

  @Test func `an item is bounded as a result is`() {
    let played = Played.ready(resultBytesMax: 5)
    played.begin(Self.plain)
    #expect(played.say(#"{"item":1,"value":"123"}"#) == nil)
    #expect(
      played.say(#"{"item":1,"value":"1234"}"#) == "an item of 6 bytes, where 5 are allowed")
  }

  // MARK: Chunks

  @Test func `a worker that takes chunks gets them whole`() {
    let played = Played.ready(chunks: true)
    played.begin(.chunk(items: "[1,2,3]", star: true), members: #""attempt":1"#)
    #expect(
      played.takeLines() == [
        #"{"call":1,"task":"t","items":[1,2,3],"star":true,"attempt":1}"#
      ])
    #expect(played.say(#"{"return":1,"value":[1, 4, 9]}"#) == nil)
    #expect(played.takeEvents() == returned("[1,4,9]"))
    played.begin(.chunk(items: "[1,2]", star: false))
    #expect(
      played.say(#"{"raise":2,"item":1,"values":[1],"error":{"type":"E","message":"m"}}"#) == nil)
    #expect(
      played.takeEvents()
        == raised(
          #"{"code":"raised","type":"E","message":"m","item":1,"values":[1]}"#))
  }

  @Test(arguments: [
    #"{"return":1,"value":[1]}"#, #"{"return":1,"value":7}"#, #"{"return":1,"value":{"a":1}}"#,
    #"{"raise":1,"item":1,"error":{}}"#, #"{"raise":1,"item":2,"values":[1,2],"error":{}}"#,
    #"{"raise":1,"item":-1,"error":{}}"#, #"{"raise":1,"item":0,"values":[1],"error":{}}"#,
    #"{"raise":1,"item":1,"values":{},"error":{}}"#,
  ])
  func `an answer to a chunk that does not add up is a fault`(line: String) {
    let played = Played.ready(chunks: true)
    played.begin(.chunk(items: "[1,2]", star: false))
    #expect(played.say(line) != nil)
  }

  @Test func `another worker runs a chunk item by item`() {
    let played = Played.ready()
    played.begin(.chunk(items: #"[1,"a",[2]]"#, star: false), members: #""attempt":1"#)
    for (number, args) in [(1, "[1]"), (2, #"["a"]"#), (3, "[[2]]")] {
      #expect(
        played.takeLines() == [
          #"{"call":\#(number),"task":"t","args":\#(args),"kwargs":{},"attempt":1}"#
        ])
      #expect(played.takeEvents() == [])
      #expect(played.worker.call == 500)
      #expect(played.say(#"{"return":\#(number),"value":\#(number * 10)}"#) == nil)
    }
    #expect(played.takeEvents() == returned("[10,20,30]"))
    played.begin(Self.plain)
    #expect(played.takeLines() == [#"{"call":4,"task":"t","args":[7],"kwargs":{}}"#])
  }

  @Test func `the first item that fails ends its chunk, with the values before it`() {
    let played = Played.ready()
    played.begin(.chunk(items: "[[1],[2],[3]]", star: true))
    #expect(played.takeLines() == [#"{"call":1,"task":"t","args":[1],"kwargs":{}}"#])
    #expect(played.say(#"{"return":1,"value":"x"}"#) == nil)
    #expect(played.say(#"{"raise":2,"error":{"type":"E","message":"m"}}"#) == nil)
    #expect(
      played.takeEvents()
        == raised(#"{"code":"raised","type":"E","message":"m","item":1,"values":["x"]}"#))
    #expect(played.worker.call == nil)
  }

  @Test func `an item that is no array of arguments fails where it stands`() {
    let played = Played.ready()
    played.begin(.chunk(items: "[[1],2]", star: true))
    #expect(played.say(#"{"return":1,"value":5}"#) == nil)
    guard case .ended(500, .raised(let text))? = played.takeEvents().first else {
      Issue.record("no error")
      return
    }
    #expect(text.contains(#""code":"argument_decoding""#))
    #expect(text.hasSuffix(#""item":1,"values":[5]}"#))
  }

  @Test func `the values of a chunk together are bounded`() {
    let played = Played.ready(resultBytesMax: 9)
    played.begin(.chunk(items: "[1,2]", star: false))
    #expect(played.say(#"{"return":1,"value":"123"}"#) == nil)
    #expect(played.takeEvents() == [])
    #expect(played.say(#"{"return":2,"value":"123"}"#) == nil)
    guard case .ended(500, .raised(let text))? = played.takeEvents().first else {
      Issue.record("no error")
      return
    }
    #expect(text.contains(#""code":"output_limit""#))
  }

  @Test func `a chunk of nothing is over at once`() {
    let played = Played.ready()
    played.begin(.chunk(items: "[]", star: false))
    #expect(played.takeEvents() == returned("[]"))
    #expect(played.takeLines() == [])
  }

  @Test func `the first message says what the pool is`() {
    var settings = LineWorkerSettings(arguments: ["x"])
    settings.name = "python"
    settings.resultBytesMax = 1 << 20
    #expect(
      String(decoding: settings.setup(slot: 3, callsMax: nil), as: UTF8.self)
        == #"{"setup":{"protocol":1,"pool":"python","slot":3,"initializer":null,"initargs":[],"#
        + #""encoding":"json","allow_main":false,"calls_max":null,"result_bytes_max":1048576,"#
        + #""line_bytes_max":3145728}}"#
        + "\n")
    settings.initializer = "m:f"
    settings.initializerArguments = "[1]"
    settings.allowsPickle = true
    settings.allowsMain = true
    #expect(
      String(decoding: settings.setup(slot: 0, callsMax: 5), as: UTF8.self).contains(
        #""initializer":"m:f","initargs":[1],"encoding":"pickle","allow_main":true,"calls_max":5,"#
      ))
  }
}
