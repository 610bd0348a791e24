import Glibc

/// Where the headers of an answer are written: two marks, the name, a colon, a blank and the value
/// for each. To write there asks for nothing but that there is room; a program error if not.
///
/// For one call (`HTTPHeaders.init(atMost:_:)`): it points to memory that others own.
public struct HeaderBlock {
  /// What begins a line, twice; no value holds it.
  @usableFromInline static let mark: UInt8 = 1
  /// How many bytes a header has besides its name and value.
  @usableFromInline static let marksCount = 4

  @usableFromInline let start: UnsafeMutablePointer<UInt8>?
  @usableFromInline let capacity: Int
  /// How many bytes are written.
  @usableFromInline var count = 0

  @inlinable
  init(_ buffer: UnsafeMutableBufferPointer<UInt8>) {
    start = buffer.baseAddress
    capacity = buffer.count
  }

  /// Adds a header whose value is one of the program's own: not empty, and without control
  /// characters.
  @inlinable
  @inline(__always)
  public mutating func add(_ name: StaticString, _ value: StaticString) {
    let count = value.utf8CodeUnitCount
    add(name, atMost: count) { target in
      target.initialize(from: value.utf8Start, count: count)
      return count
    }
  }

  /// Adds a header whose value, of the same kind, `write` puts to where `countMax` bytes have room;
  /// it answers how many it wrote. (Inlined, because the name is then a few stores.)
  @inlinable
  @inline(__always)
  public mutating func add(
    _ name: StaticString, atMost countMax: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Int
  ) {
    let nameCount = name.utf8CodeUnitCount
    precondition(
      nameCount + countMax + Self.marksCount <= capacity - count, "no room for a header")
    guard let target = start.map({ $0 + count }) else { return }
    (target[0], target[1]) = (Self.mark, Self.mark)
    (target + 2).initialize(from: name.utf8Start, count: nameCount)
    (target[nameCount + 2], target[nameCount + 3]) = (UInt8(ascii: ":"), UInt8(ascii: " "))
    let written = write(target + nameCount + Self.marksCount)
    precondition(1...countMax ~= written, "a header's value is longer than was said, or empty")
    count += nameCount + Self.marksCount + written
  }

  /// Adds a header. The value ends at its first NUL; none is added if it is then empty, or holds a
  /// control character. (Disfavoured, so that a literal takes the way that looks at nothing.)
  @_disfavoredOverload
  public mutating func add(_ name: StaticString, _ value: String) {
    var value = value
    value.withUTF8 { text in
      guard let source = text.baseAddress else { return }
      let end = memchr(source, 0, text.count)
      let count = end.map { UnsafeRawPointer($0) - UnsafeRawPointer(source) } ?? text.count
      for byte in text.prefix(count) where byte < 0x20 || byte == 0x7F { return }
      guard count > 0 else { return }
      add(name, atMost: count) { target in
        target.initialize(from: source, count: count)
        return count
      }
    }
  }
}
