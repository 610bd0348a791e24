/// The headers of an answer, in order, in one buffer and with marks for line ends, as
/// `mhd_add_lines` takes them: an answer with five headers costs one allocation for all, no string,
/// and one copy more for libmicrohttpd.
public struct HTTPHeaders: Sendable {
  /// Lines in turn, as `HeaderBlock` writes them.
  @usableFromInline var bytes: [UInt8] = []

  /// No headers.
  public init() {}

  /// The headers that `write` adds, whose names and values have at most so many bytes in all, with
  /// four more for each.
  @inlinable
  @inline(__always)
  public init(atMost countMax: Int, _ write: (inout HeaderBlock) -> Void) {
    self = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: countMax) { buffer in
      var block = HeaderBlock(buffer)
      write(&block)
      return HTTPHeaders(UnsafeBufferPointer(rebasing: buffer[..<block.count]))
    }
  }

  /// Made here and not where it is inlined, which would make an array by generic code.
  @usableFromInline
  init(_ lines: UnsafeBufferPointer<UInt8>) {
    bytes = [UInt8](lines)
  }

  /// Adds a header. The value ends at its first NUL; none is added if it is then empty, or holds a
  /// control character. (Disfavoured, so that a literal takes the way that looks at nothing.)
  @_disfavoredOverload
  public mutating func add(_ name: StaticString, _ value: String) {
    append(atMost: name.utf8CodeUnitCount + value.utf8.count) { $0.add(name, value) }
  }

  /// Adds a header whose value is one of the program's own: not empty, and without control
  /// characters.
  public mutating func add(_ name: StaticString, _ value: StaticString) {
    append(atMost: name.utf8CodeUnitCount + value.utf8CodeUnitCount) { $0.add(name, value) }
  }

  /// The values of the headers of a name, which is compared as it was written.
  public func values(of name: String) -> [String] {
    list.filter { $0.name == name }.map(\.value)
  }

  /// How many bytes `copyLines` writes.
  var byteCount: Int { bytes.count }

  /// Copies all lines to where `byteCount` bytes have room, each behind two marks.
  func copyLines(to target: UnsafeMutablePointer<UInt8>) {
    bytes.withUnsafeBufferPointer { lines in
      guard let start = lines.baseAddress else { return }
      target.initialize(from: start, count: lines.count)
    }
  }

  /// Names and values as strings.
  var list: [(name: String, value: String)] {
    bytes.split(separator: HeaderBlock.mark).map { line in
      // A name is a token, so the first colon ends it.
      let name = line.prefix { $0 != UInt8(ascii: ":") }
      return (
        String(decoding: name, as: UTF8.self),
        String(decoding: line.dropFirst(name.count + 2), as: UTF8.self)
      )
    }
  }

  private mutating func append(atMost countMax: Int, _ write: (inout HeaderBlock) -> Void) {
    bytes.append(addingCapacity: countMax + HeaderBlock.marksCount) { span in
      span.withUnsafeMutableBufferPointer { (buffer, count) in
        var block = HeaderBlock(buffer)
        write(&block)
        count = block.count
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
