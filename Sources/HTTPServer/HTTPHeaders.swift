import Glibc

/// The headers of an answer, in order, in one buffer as libmicrohttpd takes them: an answer with
/// five headers costs one allocation for all and no string.
public struct HTTPHeaders: Sendable {
  /// Names and values in turn, each ended by a NUL.
  private var bytes: [UInt8] = []

  /// No headers.
  public init() {}

  /// Adds a header. The value ends at its first NUL.
  public mutating func add(_ name: StaticString, _ value: String) {
    begin(name)
    var value = value
    value.withUTF8 { text in
      bytes.append(contentsOf: text[..<(text.firstIndex(of: 0) ?? text.count)])
    }
    bytes.append(0)
  }

  /// Adds a header whose value is one of the program's own.
  public mutating func add(_ name: StaticString, _ value: StaticString) {
    begin(name)
    append(value)
  }

  /// Adds a header whose value has `count` bytes, none of them NUL, which `write` puts in place.
  public mutating func add(
    _ name: StaticString, count: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Void
  ) {
    begin(name)
    bytes.append(addingCapacity: count) { span in
      span.withUnsafeMutableBufferPointer { (buffer, written) in
        if let start = buffer.baseAddress { write(start) }
        written = count
      }
    }
    bytes.append(0)
  }

  /// The values of the headers of a name, which is compared as it was written.
  public func values(of name: String) -> [String] {
    var values: [String] = []
    forEachCString { candidate, value in
      if String(cString: candidate) == name { values.append(String(cString: value)) }
    }
    return values
  }

  /// Calls `body` with each name and value, NUL-terminated and valid during the call.
  func forEachCString(_ body: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Void) {
    bytes.withUnsafeBytes { bytes in
      guard var place = bytes.baseAddress else { return }
      let end = place + bytes.count
      while place < end {
        let name = place.assumingMemoryBound(to: CChar.self)
        let value = name + strlen(name) + 1
        body(name, value)
        place = UnsafeRawPointer(value + strlen(value) + 1)
      }
    }
  }

  private mutating func begin(_ name: StaticString) {
    if bytes.isEmpty { bytes.reserveCapacity(192) }
    append(name)
  }

  private mutating func append(_ text: StaticString) {
    bytes.append(
      contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    bytes.append(0)
  }
}

extension HTTPHeaders: ExpressibleByDictionaryLiteral {
  /// The headers in the order of the literal.
  public init(dictionaryLiteral elements: (StaticString, String)...) {
    for (name, value) in elements { add(name, value) }
  }
}
