import JobCore

/// The path of a job's handle, and of what lies below it, as bytes and with no string: an answer
/// has it three times, and the id besides.
struct JobPath {
  private static let prefix: StaticString = "/v1/jobs/"
  /// As long as the path with the longest id.
  private let text: InlineArray<73, UInt8>
  /// How many bytes it has, without what lies below it.
  let byteCount: Int

  /// The path of the job with this id.
  init(id: JobID) {
    let prefixCount = JobPath.prefix.utf8CodeUnitCount
    let count = prefixCount + id.byteCount
    var text = InlineArray<73, UInt8>(repeating: 0)
    precondition(count <= text.count, "an id has at most \(text.count - prefixCount) bytes")
    var span = text.mutableSpan
    span.withUnsafeMutableBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return }
      start.initialize(from: JobPath.prefix.utf8Start, count: prefixCount)
      id.write(to: start + prefixCount)
    }
    self.text = text
    byteCount = count
  }

  /// How many bytes it has with something below it.
  func byteCount(with suffix: StaticString) -> Int { byteCount + suffix.utf8CodeUnitCount }

  /// Writes it, and `suffix` behind it, to where there is room for both.
  @inline(__always)
  func write(to target: UnsafeMutablePointer<UInt8>, _ suffix: StaticString = "") {
    text.span.withUnsafeBufferPointer { text in
      if let start = text.baseAddress { target.initialize(from: start, count: byteCount) }
    }
    (target + byteCount).initialize(from: suffix.utf8Start, count: suffix.utf8CodeUnitCount)
  }

  /// Writes the id alone, of `idByteCount` bytes.
  @inline(__always)
  func writeID(to target: UnsafeMutablePointer<UInt8>) {
    text.span.withUnsafeBufferPointer { text in
      if let start = text.baseAddress {
        target.initialize(from: start + JobPath.prefix.utf8CodeUnitCount, count: idByteCount)
      }
    }
  }

  /// How many bytes the id has.
  var idByteCount: Int { byteCount - JobPath.prefix.utf8CodeUnitCount }
}
