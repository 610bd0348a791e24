import Testing

@testable import Multiprocessing

/// The messages of a worker, as JSON has them: in any order.
@Suite struct LineMessageTests {
  private static let error =
    #"{"type":"E","message":"m","args":[1],"module":"x","traceback":"t","code":"raised"}"#

  /// A message of every kind with all that it may have, its name first.
  private static let messages: [[String]] = [
    [
      #""ready":{"dynamic":true,"tasks":["a"],"protocol":1,"chunks":true}"#, #""later":1"#,
      #""more":{"return":1}"#,
    ],
    [#""failed":{"traceback":"t","message":"m","type":"E"}"#, #""value":1"#, #""later":[]"#],
    [#""return":17"#, #""value":{"raise":1,"return":2}"#, #""later":{"item":1}"#],
    [
      #""raise":17"#, #""error":\#(error)"#, #""item":1"#, #""values":[{"return":1}]"#,
      #""value":5"#,
    ],
    [#""raise":17"#, #""error":\#(error)"#],
    [#""progress":17"#, #""value":0.4"#, #""message":"step 1""#, #""error":{"type":"E"}"#],
    [#""item":17"#, #""value":[1]"#, #""values":[]"#, #""error":null"#],
    [#""retiring":true"#, #""value":1"#, #""message":"bye""#],
  ]

  private func read(_ members: [String]) throws(LineMessage.Fault) -> LineMessage {
    try read("{" + members.joined(separator: ",") + "}")
  }

  private func read(_ line: String) throws(LineMessage.Fault) -> LineMessage {
    let bytes = Array(line.utf8)
    return try bytes.withUnsafeBufferPointer { (line) throws(LineMessage.Fault) in
      try LineMessage.read(line)
    }
  }

  private func orders(of members: [String]) -> [[String]] {
    guard members.count > 1 else { return [members] }
    return members.indices.flatMap { index in
      var rest = members
      let member = rest.remove(at: index)
      return orders(of: rest).map { [member] + $0 }
    }
  }

  @Test(arguments: messages)
  func `a message is the same in every order of its members`(members: [String]) throws {
    let message = try read(members)
    var count = 0
    for order in orders(of: members) {
      #expect(try read(order) == message, "\(order)")
      count += 1
    }
    #expect(count == (1...members.count).reduce(1, *))
  }

  /// What is wrong is wrong in every order, with the same words.
  @Test(arguments: [
    [#""return":17"#, #""later":1"#], [#""raise":17"#, #""item":1"#, #""values":[]"#],
    [#""return":"17""#, #""value":1"#], [#""return":-1"#, #""value":1"#],
    [#""raise":17"#, #""error":{}"#, #""values":{}"#], [#""raise":17"#, #""error":"no""#],
    [#""progress":17"#, #""value":"\#(String(repeating: "x", count: 20_000))""#],
    [#""ready":{"protocol":2}"#, #""value":1"#], [#""retiring":1"#, #""value":1"#],
    [#""item":17"#, #""later":1"#],
  ])
  func `a fault is one in every order of the members`(members: [String]) throws {
    let faults = orders(of: members).map { order in
      #expect(throws: LineMessage.Fault.self, "\(order)") { try read(order) }?.reason
    }
    // The reader of JSON says at which byte.
    #expect(Set(faults.map { $0?.split(separator: " at byte ").first }).count == 1, "\(faults)")
  }

  @Test func `sorted members, as some writers have them, are the usual message`() throws {
    #expect(
      try read(#"{"error":{"message":"no paper","type":"ValueError"},"raise":17}"#)
        == .raised(
          call: 17, error: LineError(type: "ValueError", message: "no paper"), item: nil,
          values: nil))
    #expect(
      try read(#"{"message":"step 1","progress":17,"value":0.4}"#)
        == .progress(call: 17, value: "0.4", message: "step 1"))
    #expect(
      try read(#"{"error":{},"item":1,"raise":17,"values":[5]}"#)
        == .raised(call: 17, error: LineError(), item: 1, values: "[5]"))
  }

  @Test func `of members that come twice the last counts, as elsewhere`() throws {
    #expect(
      try read(#"{"item":1,"error":{},"item":2,"raise":17,"values":[5,6]}"#)
        == read(#"{"raise":17,"error":{},"item":1,"item":2,"values":[5,6]}"#))
    #expect(
      try read(#"{"value":1,"return":17,"value":2}"#) == .returned(call: 17, value: "2"))
  }

  @Test(arguments: [64, 65, 500, 5_000])
  func `a result that is too deep is that of its call in every order`(depth: Int) throws {
    let value = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    let message = try read([#""return":17"#, #""value":\#(value)"#])
    #expect(
      message == (depth > 64 ? .returnedTooDeep(call: 17) : .returned(call: 17, value: value)))
    #expect(try read([#""value":\#(value)"#, #""return":17"#]) == message)
    #expect(throws: LineMessage.Fault.self) { try read([#""value":\#(value)"#, #""raise":17"#]) }
  }

  @Test(arguments: [
    (#"{"return":1,"value":1,"raise":1,"error":{}}"#, "two names, 'return' and 'raise'"),
    (#"{"value":1,"return":1,"return":1}"#, "two names, 'return' and 'return'"),
    (#"{"return":1,"value":1,"return":2}"#, "two names, 'return' and 'return'"),
    (#"{"item":1,"value":1,"item":2}"#, "two names, 'item' and 'item'"),
    (#"{"item":1,"value":1,"return":2}"#, "two names, 'item' and 'return'"),
    (#"{"return":1,"value":1,"item":2}"#, "two names, 'return' and 'item'"),
    (#"{"ready":{"protocol":1},"failed":{}}"#, "two names, 'ready' and 'failed'"),
    (
      #"{"value":1,"call":1}"#,
      "one of its members must be 'ready', 'failed', 'return', 'raise', 'progress', 'item' or "
        + "'retiring', and it has 'value', 'call'"
    ),
    (#"{}"#, "and it has none at all"),
    (#"{"value":1,"return":1"#, "not JSON"), (#"{"value":[1,"return":1}"#, "not JSON"),
  ])
  func `a message with two names, or none, is refused with what was expected`(
    line: String, words: String
  ) {
    let fault = #expect(throws: LineMessage.Fault.self) { try read(line) }
    #expect(fault?.reason.contains(words) == true, "\(fault?.reason ?? "")")
  }

  @Test func `what names nothing is told in few words`() {
    let members = (0..<100).map { #""\#(String(repeating: "x", count: 100))\#($0)":1"# }
    let fault = #expect(throws: LineMessage.Fault.self) { try read(members) }
    #expect((fault?.reason.utf8.count ?? 1_000) < 400)
  }
}
