import Testing

@testable import JobServer

/// The vectors of RFC 4648, section 10, and what no encoder makes.
@Suite struct Base64Tests {
  static let vectors = [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ]

  @Test(arguments: vectors) func `the vectors of the RFC`(plain: String, text: String) {
    #expect(Base64.encode([UInt8](plain.utf8)) == text)
    #expect(Base64.decode(text) == [UInt8](plain.utf8))
  }

  @Test func `every byte survives at every place`() {
    for length in 1...5 {
      for byte in UInt8.min...UInt8.max {
        for place in 0..<length {
          var bytes = [UInt8](repeating: 0x5A, count: length)
          bytes[place] = byte
          #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
      }
    }
  }

  @Test(arguments: ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "Zm9v\n", "Zm-v", "=Zg=", "Zg==Zg=="])
  func `what no encoder makes is refused`(text: String) {
    #expect(Base64.decode(text) == nil)
  }
}
