import JSON
import TestSupport
import Testing

/// A writer gathers its pieces in a window of 1024 bytes before they go to an array. Nothing of
/// that may be seen in the text.
@Suite struct WriterWindowTests {
  private static let windowSize = 1024

  /// A piece, and what it is as text after something that wants a comma.
  private struct Piece: Sendable {
    let expected: String
    let write: @Sendable (inout JSONWriter) -> Void

    init(_ expected: String, _ write: @escaping @Sendable (inout JSONWriter) -> Void) {
      self.expected = expected
      self.write = write
    }
  }

  private static let pieces: [Piece] = {
    var pieces = [
      Piece(",{}") {
        $0.beginObject()
        $0.endObject()
      },
      Piece(",[]") {
        $0.beginArray()
        $0.endArray()
      },
      Piece(",\"max_attempts\":1") { $0.member("max_attempts", integer: 1) },
      Piece(",\"a\":\"\"") { $0.member("a", string: "") },
      Piece(",\"x\\n\":null") {
        $0.name("x\n" as String)
        $0.null()
      },
      Piece(",true,false") {
        $0.bool(true)
        $0.bool(false)
      },
      Piece("\n7") {
        $0.raw("\n")
        $0.integer(7)
      },
      Piece(",\"a\":1,\"b\":2") { $0.members("\"a\":1,\"b\":2") },
      Piece(",[2.0,0.25]") { $0.doubles([2, 0.25]) },
      Piece(",[-1,0,99,12345678901234567]") { $0.ints([-1, 0, 99, 12_345_678_901_234_567]) },
    ]
    for length in 1...19 {
      let value = Int(String(repeating: "7012345689", count: 2).prefix(length))!
      pieces.append(Piece(",\(value)") { $0.integer(value) })
      pieces.append(Piece(",\(-value)") { $0.integer(-value) })
    }
    pieces.append(Piece(",\(UInt64.max)") { $0.integer(UInt64.max) })
    pieces.append(Piece(",\(Int.min)") { $0.integer(Int.min) })
    for length in 0...33 {
      let plain = String(repeating: "s", count: length)
      pieces.append(Piece(",\"\(plain)\"") { $0.string(plain) })
      pieces.append(Piece(",\"\(plain)\\n\(plain)\"") { $0.string(plain + "\n" + plain) })
      pieces.append(
        Piece(",\"\(plain)\"") { writer in
          writer.plainString(count: length) { target in
            for index in 0..<length { target[index] = UInt8(ascii: "s") }
          }
        })
      if length > 0 { pieces.append(Piece(",\(plain)") { $0.text(plain) }) }
    }
    return pieces
  }()

  /// A writer with `count` bytes in it, of which the last wants a comma behind it.
  private func writer(holding count: Int) -> (JSONWriter, String) {
    let text = String(repeating: "1", count: count)
    var writer = JSONWriter()
    writer.text(text)
    return (writer, text)
  }

  @Test func `each piece is the same wherever the window ends`() {
    for before in [1, 2] + Array(Self.windowSize - 90...Self.windowSize + 2) {
      for piece in Self.pieces {
        var (writer, text) = writer(holding: before)
        piece.write(&writer)
        piece.write(&writer)
        #expect(writer.count == before + 2 * piece.expected.utf8.count)
        let written = String(decoding: writer.bytes, as: UTF8.self)
        #expect(written == text + piece.expected + piece.expected, "after \(before) bytes")
      }
    }
  }

  @Test(arguments: [0, 1, 600, 1023, 1024])
  func `texts and strings of every size around the window's stay whole`(before: Int) {
    let sizes = Array(1000...1030) + [2047, 2048, 2049, 65_536, 3_000_000]
    for size in sizes {
      let value = String(repeating: "v", count: size)
      for isText in [true, false] {
        var writer = JSONWriter(capacity: before)
        var expected = "["
        writer.beginArray()
        if before > 0 {
          expected += String(repeating: "1", count: before) + ","
          writer.text(String(repeating: "1", count: before))
        }
        if isText { writer.text(value) } else { writer.string(value) }
        writer.integer(5)
        writer.endArray()
        expected += (isText ? value : "\"" + value + "\"") + ",5]"
        #expect(writer.count == expected.utf8.count)
        #expect(writer.bytes.elementsEqual(expected.utf8), "\(size) after \(before)")
      }
    }
  }

  @Test func `a string that wants escapes is undone and written anew`() {
    for before in 0...Self.windowSize {
      var (writer, text) = before > 0 ? writer(holding: before) : (JSONWriter(), "")
      writer.string("a longer text and a \"quote\"")
      text += (before > 0 ? "," : "") + #""a longer text and a \"quote\"""#
      #expect(String(decoding: writer.bytes, as: UTF8.self) == text)
    }
  }

  @Test func `a plain string of more than the window stops the program`() async {
    await #expect(processExitsWith: .failure) {
      var writer = JSONWriter()
      writer.plainString(count: 1022) { $0[1021] = 0 }
    }
  }

  @Test func `a plain string of less than nothing stops the program`() async {
    await #expect(processExitsWith: .failure) {
      var writer = JSONWriter()
      writer.plainString(count: -1) { $0[0] = 0 }
    }
  }

  @Test func `bytes may be taken, replaced and emptied at any time`() {
    var writer = JSONWriter()
    writer.beginArray()
    writer.integer(1)
    let taken = writer.bytes
    writer.integer(2)
    #expect(taken == Array("[1".utf8))
    #expect(writer.bytes == Array("[1,2".utf8))
    writer.bytes.removeLast()
    writer.integer(3)
    #expect(writer.bytes == Array("[1,3".utf8))
    writer.bytes = Array("{".utf8)
    writer.member("a", integer: 4)
    #expect(writer.bytes == Array("{\"a\":4".utf8))
    writer.bytes.removeAll()
    #expect(writer.count == 0)
    writer.integer(5)
    let copy = writer
    writer.integer(6)
    writer.removeAll()
    writer.integer(7)
    writer.bytes += Array(": ".utf8)
    writer.null()
    #expect(writer.bytes == Array("7: null".utf8))
    var other = copy
    other.endArray()
    #expect(other.bytes == Array("5]".utf8))
  }

  @Test func `what was written can be changed in place, in window and array`() {
    for before in [3, 100, 1000, 1024, 1500, 5000] {
      for start in [0, 2, before - 1, before, before + 1, before + 3] {
        var (writer, text) = writer(holding: before)
        writer.string("a")
        text += ",\"a\""
        var expected = Array(text.utf8)
        let count = expected.count - start
        writer.withUnsafeMutableBytes(from: start) { bytes in
          #expect(bytes.count == count)
          if count > 1 { bytes[0] = 0x32 }
        }
        if count > 1 { expected[start] = 0x32 }
        #expect(writer.bytes == expected)
        writer.withUnsafeMutableBytes(from: expected.count) { #expect($0.isEmpty) }
      }
    }
  }

  @Test func `bytes that were not written yet cannot be changed`() async {
    await #expect(processExitsWith: .failure) {
      var writer = JSONWriter()
      writer.integer(1)
      writer.withUnsafeMutableBytes(from: 2) { _ in }
    }
  }

  /// Against a model that appends to a string.
  @Test func `seeded pieces in any order`() {
    let seed = testSeed()
    var random = SplitMix(seed: seed)
    for _ in 0..<300 {
      var writer = JSONWriter(capacity: Int.random(in: 0...3000, using: &random))
      writer.integer(0)
      var expected = "0"
      for _ in 0..<Int.random(in: 0...120, using: &random) {
        let piece = Self.pieces.randomElement(using: &random)!
        piece.write(&writer)
        expected += piece.expected
        switch Int.random(in: 0..<60, using: &random) {
        case 0: #expect(writer.bytes.elementsEqual(expected.utf8), "seed \(seed)")
        case 1:
          writer.removeAll()
          writer.integer(0)
          expected = "0"
        default: break
        }
      }
      #expect(writer.bytes.elementsEqual(expected.utf8), "seed \(seed)")
    }
  }
}
