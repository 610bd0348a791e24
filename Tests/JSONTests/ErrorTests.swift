import JSON
import Testing

@Suite struct ErrorTests {
  @Test(arguments: [
    ("[1", "the text ends at byte 2 where a comma or \"]\" should follow"),
    ("", "the text ends at byte 0 where a value should follow"),
    ("{\"a\" 1}", "an unexpected \"1\" at byte 5, where a colon should stand"),
    ("[1;2]", "an unexpected \";\" at byte 2, where a comma or \"]\" should stand"),
    ("{1:2}", "an unexpected \"1\" at byte 1, where a member's name or \"}\" should stand"),
    ("{\"a\":1,}", "an unexpected \"}\" at byte 7, where a member's name should stand"),
    ("[1\"\"]", "an unexpected quote at byte 2, where a comma or \"]\" should stand"),
    ("nix", "an unexpected \"i\" at byte 1, where the rest of null should stand"),
    ("\u{FEFF}1", "a byte order mark at byte 0: the text must begin with a value"),
    ("[1]]", "an unexpected \"]\" at byte 3, after the end of the value: nothing may follow"),
    (
      "\"\u{01}\"",
      "an unexpected byte 0x01 in a string at byte 1: control characters must be escaped"
    ),
    (
      "[01]",
      "an unexpected \"1\" in a number at byte 2, where no digit after a leading zero is right"
    ),
    (
      "\"\\ud800\"",
      "half of a surrogate pair at byte 1: an escape of the other half must go with it"
    ),
    (
      "[[]]",
      "too many arrays and objects within one another at byte 1: at most 1 are taken"
    ),
  ])
  func `an error says what, where, and what would be right`(_ text: String, _ sentence: String) {
    let error = #expect(throws: JSONError.self) { try minifiedJSON(text, depthMax: 1) }
    #expect(error.map(String.init(describing:)) == sentence)
  }

  @Test func `errors of asking for a type name both types, or the range`() {
    func sentence<R>(
      _ text: String, _ body: (inout JSONReader) throws(JSONError) -> R
    ) -> String {
      do {
        _ = try JSONReader.read(text, body)
        return ""
      } catch {
        return "\(error)"
      }
    }
    #expect(
      sentence("\"a\"") { (reader) throws(JSONError) in try reader.readBool() }
        == "a value of type string at byte 0, where one of type boolean should stand")
    #expect(
      sentence("1e400") { (reader) throws(JSONError) in try reader.readDouble() }
        == "a number at byte 0 is out of range: a number between -1.8e308 and 1.8e308 is right")
    #expect(
      sentence("9999999999999999999") { (reader) throws(JSONError) in try reader.readInt() }
        == "a number at byte 0 is out of range: "
        + "-9223372036854775808 to 9223372036854775807 is right")
    #expect(
      sentence("1.0") { (reader) throws(JSONError) in try reader.readInt() }
        == "a number at byte 0 is no integer: it must have no fraction and no exponent")
    #expect(
      "\(JSONError(reason: .duplicateName("a"), offset: 7))"
        == "a second member \"a\" at byte 7: a name may be given only once")
  }

  @Test func `errors made by others have a sentence too`() {
    for reason in [JSONError.Reason.unexpectedEnd, .unexpectedByte, .invalidNumber, .tooDeep] {
      #expect("\(JSONError(reason: reason, offset: 3))".contains("at byte 3"))
    }
  }
}

/// Mistakes of the program stop it, in release builds too.
@Suite struct MisuseTests {
  @Test func `reading a value twice stops the program`() async {
    await #expect(processExitsWith: .failure) {
      _ = try JSONReader.read("[1]") { (reader) throws(JSONError) in
        _ = try reader.readText()
        return try reader.readText()
      }
    }
  }

  @Test func `reading right after the bracket stops the program`() async {
    await #expect(processExitsWith: .failure) {
      _ = try JSONReader.read("[1]") { (reader) throws(JSONError) in
        try reader.beginArray()
        return try reader.readInt()
      }
    }
  }

  @Test func `asking an array for members stops the program`() async {
    await #expect(processExitsWith: .failure) {
      _ = try JSONReader.read("[1]") { (reader) throws(JSONError) in
        try reader.beginArray()
        return try reader.nextMember()
      }
    }
  }

  @Test func `writing infinity stops the program`() async {
    await #expect(processExitsWith: .failure) {
      var writer = JSONWriter()
      writer.number(.infinity)
    }
  }

  @Test func `splicing an empty text stops the program`() async {
    await #expect(processExitsWith: .failure) {
      var writer = JSONWriter()
      writer.text("")
    }
  }
}
