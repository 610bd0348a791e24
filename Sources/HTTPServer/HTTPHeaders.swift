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
    var value = value
    value.withUTF8 { add(name, $0) }
  }

  /// Adds a header whose value is one of the program's own.
  public mutating func add(_ name: StaticString, _ value: StaticString) {
    add(name, UnsafeBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
  }

  /// Adds a header whose value, with no NUL in it, `write` puts to where `countMax` bytes have
  /// room; it answers how many it wrote.
  public mutating func add(
    _ name: StaticString, atMost countMax: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Int
  ) {
    append(name, atMost: countMax) { target in
      let count = write(target)
      precondition(0...countMax ~= count, "a header's value is longer than was said")
      return count
    }
  }

  /// The values of the headers of a name, which is compared as it was written.
  public func values(of name: String) -> [String] {
    var values: [String] = []
    forEachCString { candidate, value in
      if String(cString: candidate) == name { values.append(String(cString: value)) }
    }
    return values
  }

  /// How many bytes names and values have, with two for each header.
  var byteCount: Int { bytes.count }

  /// Calls `body` with each name and value, NUL-terminated and valid during the call; without those
  /// whose value is empty or holds a control character.
  func forEachCString(_ body: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Void) {
    bytes.withUnsafeBytes { bytes in
      guard var place = bytes.baseAddress else { return }
      let end = place + bytes.count
      while place < end {
        let name = place.assumingMemoryBound(to: CChar.self)
        let value = name + strlen(name) + 1
        let count = strlen(value)
        let text = UnsafeRawBufferPointer(start: value, count: count)
        if count > 0, text.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) { body(name, value) }
        place = UnsafeRawPointer(value + count + 1)
      }
    }
  }

  private mutating func add(_ name: StaticString, _ value: UnsafeBufferPointer<UInt8>) {
    append(name, atMost: value.count) { target in
      guard let start = value.baseAddress else { return 0 }
      let end = memccpy(target, start, 0, value.count)
      return end.map { UnsafeRawPointer($0) - UnsafeRawPointer(target) - 1 } ?? value.count
    }
  }

  /// Appends a name, and a value of at most so many bytes: `body` writes it and answers how many.
  @inline(__always)
  private mutating func append(
    _ name: StaticString, atMost countMax: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int
  ) {
    if bytes.isEmpty { bytes.reserveCapacity(192) }
    let nameCount = name.utf8CodeUnitCount
    bytes.append(addingCapacity: nameCount + countMax + 2) { span in
      span.withUnsafeMutableBufferPointer { (buffer, written) in
        guard let target = buffer.baseAddress else { return }
        target.initialize(from: name.utf8Start, count: nameCount)
        target[nameCount] = 0
        let end = nameCount + 1 + body(target + nameCount + 1)
        target[end] = 0
        written = end + 1
      }
    }
  }
}

extension HTTPHeaders: ExpressibleByDictionaryLiteral {
  /// The headers in the order of the literal.
  public init(dictionaryLiteral elements: (StaticString, String)...) {
    for (name, value) in elements { add(name, value) }
  }
}
