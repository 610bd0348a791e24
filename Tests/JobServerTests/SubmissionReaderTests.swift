import JobCore
import Testing

@testable import JobServer

@Suite struct SubmissionReaderTests {
  private func read(_ text: String, key: String? = nil) throws(Problem) -> Submission {
    try SubmissionReader.read([UInt8](text.utf8), idempotencyKey: key)
  }

  /// The pointers of the mistakes that `text` is refused for; nil when it is accepted.
  private func pointers(_ text: some Sequence<UInt8>) -> [String]? {
    do throws(Problem) {
      _ = try SubmissionReader.read([UInt8](text), idempotencyKey: nil)
      return nil
    } catch {
      #expect(error.status == 400 && error.code == .invalidRequest)
      return error.mistakes.map(\.pointer)
    }
  }

  @Test func `a task alone has every default`() throws {
    let submission = try read(#"{"task":"square"}"#)
    #expect(submission == Submission(task: "square"))
    #expect(submission.args == "[]" && submission.options == nil)
  }

  @Test func `every member is taken, in any order`() throws {
    let submission = try read(
      #"""
      {"on_interrupt":"fail","max_attempts":3,"tags":["a","b c","ü"],"timeout":20.5,"id":"a.B-1_",
       "encoding":"pickle","main":"/a b.py",
       "pool":"gpu","kwargs":{ "n" : 1e400 },"args":[ 1, 2.50 ],"task":"sort"}
      """#, key: "k")
    #expect(
      submission
        == Submission(
          task: "sort", args: "[1,2.50]", id: JobID("a.B-1_"), pool: "gpu",
          options: JobOptions(
            kwargs: #"{"n":1e400}"#, timeout: 20_500, attemptsMax: 3, onInterrupt: .fail,
            tags: ["a", "b c", "ü"], idempotencyKey: "k", encoding: .pickle, main: "/a b.py")))
  }

  @Test func `null is the same as leaving a member out`() throws {
    let nulls = [
      "args", "kwargs", "pool", "id", "timeout", "tags", "max_attempts", "on_interrupt",
      "encoding", "main",
    ]
    .map { ",\"\($0)\":null" }.joined()
    #expect(try read("{\"task\":\"a\"\(nulls)}") == Submission(task: "a"))
    #expect(try read(#"{"task":"a","kwargs":{ },"tags":[]}"#) == Submission(task: "a"))
  }

  @Test func `a key makes options of its own`() throws {
    #expect(try read(#"{"task":"a"}"#, key: "k").options == JobOptions(idempotencyKey: "k"))
  }

  @Test(arguments: [
    ("task", "\"\(String(repeating: "t", count: 200))\""),
    ("tags", "[\"\(String(repeating: "👩", count: 100))\"]"),
    ("id", "\"\(String(repeating: "i", count: 64))\""),
    ("timeout", "31536000"), ("timeout", "0.0001"), ("timeout", "1e-300"),
    ("max_attempts", "1"), ("max_attempts", "100"), ("max_attempts", "6.0"),
    ("max_attempts", "0.6e1"),
    ("tags", "[\"\(String(repeating: "e\u{301}", count: 50))\"]"),
    ("tags", "[\(Array(repeating: "\"t\"", count: 32).joined(separator: ","))]"),
    ("args", String(repeating: "[", count: 63) + String(repeating: "]", count: 63)),
    ("on_interrupt", "\"requeue\""), ("pool", "\"any name\""),
  ])
  func `what is just within the limits is taken`(member: String, value: String) {
    let task = member == "task" ? "" : #","task":"t""#
    #expect(pointers("{\"\(member)\":\(value)\(task)}".utf8) == nil)
  }

  @Test func `numbers are read as they are meant`() throws {
    #expect(try read(#"{"task":"a","max_attempts":6.0}"#).options?.attemptsMax == 6)
    #expect(try read(#"{"task":"a","timeout":0.0001}"#).options?.timeout == 1)
    #expect(try read(#"{"task":"a","timeout":1.0006}"#).options?.timeout == 1_001)
  }

  @Test(arguments: [
    (#"{}"#, "/task"), (#"{"task":null}"#, "/task"), (#"{"task":""}"#, "/task"),
    (#"{"task":7}"#, "/task"),
    ("{\"task\":\"\(String(repeating: "t", count: 201))\"}", "/task"),
    ("{\"task\":\"\(String(repeating: "é", count: 201))\"}", "/task"),
    (#"{"task":"a","args":{}}"#, "/args"), (#"{"task":"a","args":"x"}"#, "/args"),
    (#"{"task":"a","kwargs":[]}"#, "/kwargs"), (#"{"task":"a","kwargs":true}"#, "/kwargs"),
    (#"{"task":"a","pool":1}"#, "/pool"), (#"{"task":"a","pool":["x"]}"#, "/pool"),
    (#"{"task":"a","id":1}"#, "/id"), (#"{"task":"a","id":""}"#, "/id"),
    (#"{"task":"a","id":".."}"#, "/id"), (#"{"task":"a","id":"a/b"}"#, "/id"),
    (#"{"task":"a","id":"a\n"}"#, "/id"),
    ("{\"task\":\"a\",\"id\":\"\(String(repeating: "i", count: 65))\"}", "/id"),
    (#"{"task":"a","timeout":"5"}"#, "/timeout"), (#"{"task":"a","timeout":0}"#, "/timeout"),
    (#"{"task":"a","timeout":-1}"#, "/timeout"),
    (#"{"task":"a","timeout":31536001}"#, "/timeout"),
    (#"{"task":"a","timeout":1e400}"#, "/timeout"),
    (#"{"task":"a","tags":"x"}"#, "/tags"), (#"{"task":"a","tags":["a",5]}"#, "/tags/1"),
    (#"{"task":"a","tags":[null]}"#, "/tags/0"), (#"{"task":"a","tags":["a","b",[]]}"#, "/tags/2"),
    (#"{"task":"a","tags":[""]}"#, "/tags/0"),
    ("{\"task\":\"a\",\"tags\":[\"a\",\"\(String(repeating: "t", count: 101))\"]}", "/tags/1"),
    ("{\"task\":\"a\",\"tags\":[\"\(String(repeating: "e\u{301}", count: 51))\"]}", "/tags/0"),
    (
      "{\"task\":\"a\",\"tags\":[\(Array(repeating: "\"t\"", count: 33).joined(separator: ","))]}",
      "/tags"
    ),
    (#"{"task":"a","max_attempts":0}"#, "/max_attempts"),
    (#"{"task":"a","max_attempts":101}"#, "/max_attempts"),
    (#"{"task":"a","max_attempts":1.5}"#, "/max_attempts"),
    (#"{"task":"a","max_attempts":"2"}"#, "/max_attempts"),
    (#"{"task":"a","max_attempts":true}"#, "/max_attempts"),
    (#"{"task":"a","max_attempts":1e400}"#, "/max_attempts"),
    (#"{"task":"a","encoding":"yaml"}"#, "/encoding"), (#"{"task":"a","encoding":1}"#, "/encoding"),
    (#"{"task":"a","main":"b.py"}"#, "/main"), (#"{"task":"a","main":""}"#, "/main"),
    (#"{"task":"a","main":"/a\u0000"}"#, "/main"), (#"{"task":"a","main":true}"#, "/main"),
    (#"{"task":"a","on_interrupt":"x"}"#, "/on_interrupt"),
    (#"{"task":"a","on_interrupt":1}"#, "/on_interrupt"),
    (#"{"task":"a","arg":[7]}"#, "/arg"), (#"{"task":"a","":1}"#, "/"),
    (#"{"task":"a","Task":"b"}"#, "/Task"), (#"{"task":"a","a/b~c":1}"#, "/a~1b~0c"),
    ("{\"task\":\"a\",\"~\u{301}/\u{301}\":1}", "/~0\u{301}~1\u{301}"),
    (#"{"task":"a","task":"a"}"#, "/task"), (#"{"task":"a","id":null,"id":null}"#, "/id"),
    (#"{"args":[1],"task":"a","\u0061rgs":[1]}"#, "/args"),
    ("{\"task\":\"a\",\"args\":\(String(repeating: "[", count: 64))", "/args"),
    ("{\"task\":\"a\",\"kwargs\":{\"a\":\(String(repeating: "[", count: 200_000))", "/kwargs"),
    ("[]", ""), ("7", ""), ("null", ""), (#""square""#, ""),
  ])
  func `a mistake is refused and pointed at`(text: String, pointer: String) {
    #expect(pointers(text.utf8) == [pointer])
  }

  @Test(arguments: [
    "", " ", "{", #"{"task":"#, #"{"task":"squa"#, #"{"task":"a",}"#, #"{"task":"a"} x"#,
    #"{"task":"a"}{}"#, "{'task':'a'}", #"{task:"a"}"#, #"{"task":"a","args":[1,]}"#,
    #"{"task":"a","args":[01]}"#, #"{"task":"a","args":[NaN]}"#, #"{"task":"\ud800"}"#,
    #"{"task":"a","args":["\udc00x"]}"#, #"{"task":"a","kwargs":{"\ud800":1}}"#,
    #"{"task":"a","args":["\x41"]}"#, "{\"task\":\"a\u{1}\"}", "\u{feff}{\"task\":\"a\"}",
    #"{"task":"a","args":[1}]"#, #"{"task":"a","timeout":1.}"#, #"{"task":"a"/**/}"#,
  ])
  func `what is not JSON is refused as a whole`(text: String) {
    #expect(pointers(text.utf8) == [""])
  }

  @Test func `bytes that are not UTF-8 are refused`() {
    #expect(pointers(Array(#"{"task":""#.utf8) + [0xFF] + Array(#""}"#.utf8)) == [""])
    #expect(pointers(Array(#"{"task":"a","args":[""#.utf8) + [0xED, 0xA0, 0x80]) == [""])
  }

  @Test func `a submission that is cut anywhere is refused`() {
    let whole = Array(#"{"task":"a","args":[1,"é\n"],"tags":["t"],"timeout":1.5,"id":"i"}"#.utf8)
    #expect(pointers(whole) == nil)
    for count in whole.indices { #expect(pointers(whole[..<count]) != nil, "\(count) bytes") }
  }

  @Test func `the first mistake is told, in words`() throws {
    let error = #expect(throws: Problem.self) {
      _ = try read(#"{"task":"a","max_attempts":0,"timeout":-1}"#)
    }
    #expect(
      error?.mistakes == [
        .init(detail: "a whole number from 1 to 100", pointer: "/max_attempts")
      ])
    let unknown = #expect(throws: Problem.self) { _ = try read(#"{"tsk":"a"}"#) }
    #expect(unknown?.detail.contains("task, args, kwargs, pool, id") == true)
  }
}
