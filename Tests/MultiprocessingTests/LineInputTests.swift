import Testing

@testable import Multiprocessing

@Suite struct LineInputTests {
  /// The lines of a text that comes in pieces of `size` bytes; nil for one that is too long.
  private func lines(_ text: String, pieces size: Int, bytesMax: Int = 100) -> [String]? {
    var input = LineInput(bytesMax: bytesMax)
    var found: [String] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: size) {
      let isInBounds = bytes[start..<min(start + size, bytes.count)].withUnsafeBytes { piece in
        input.take(piece) { line in
          found.append(String(decoding: line, as: UTF8.self))
          return true
        }
      }
      if !isInBounds { return nil }
    }
    return found
  }

  @Test(arguments: [1, 2, 3, 7, 100])
  func `lines come whole however they are cut, and half a line does not`(size: Int) {
    #expect(lines("ab\n\nc\nhalf", pieces: size) == ["ab", "", "c"])
    #expect(lines("half\n", pieces: size) == ["half"])
    #expect(lines("", pieces: size) == [])
  }

  @Test(arguments: [1, 3, 1_000])
  func `a line may be as long as the bound and no byte longer`(size: Int) {
    let most = String(repeating: "x", count: 10)
    #expect(lines(most + "\n" + most + "\n", pieces: size, bytesMax: 10) == [most, most])
    #expect(lines(most + "x\n", pieces: size, bytesMax: 10) == nil)
    #expect(lines(most + "x", pieces: size, bytesMax: 10) == nil, "without waiting for its end")
  }

  @Test func `nobody reads on after a line that ends it`() {
    var input = LineInput(bytesMax: 10)
    var found = 0
    _ = Array("a\nb\nc\n".utf8).withUnsafeBytes { piece in
      input.take(piece) { _ in
        found += 1
        return found < 2
      }
    }
    #expect(found == 2)
  }
}
