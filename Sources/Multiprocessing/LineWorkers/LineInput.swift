import Glibc

/// Cuts what arrives on a channel into lines. Keeps the beginning of a line until the rest has
/// come; whole lines are handed on in place, without their line feed.
struct LineInput {
  /// The longest line that is taken: what one peer can make this process hold.
  let bytesMax: Int
  private var partial: [UInt8] = []

  init(bytesMax: Int) {
    self.bytesMax = bytesMax
  }

  /// Whether the beginning of a line is kept.
  var isInLine: Bool { !partial.isEmpty }

  /// Takes the next `bytes` and calls `each` for every line that is complete with them, until it
  /// returns false: then the rest is dropped, because nobody reads on. Returns false for a line
  /// that is longer than it may be, complete or not; nothing of it is kept.
  mutating func take(
    _ bytes: UnsafeRawBufferPointer, _ each: (UnsafeBufferPointer<UInt8>) -> Bool
  ) -> Bool {
    var rest = bytes
    while let end = Self.lineFeed(in: rest) {
      guard partial.count + end <= bytesMax else { return overflow() }
      let piece = UnsafeRawBufferPointer(rebasing: rest[..<end])
      rest = UnsafeRawBufferPointer(rebasing: rest[(end + 1)...])
      let goesOn: Bool
      if partial.isEmpty {
        goesOn = each(piece.assumingMemoryBound(to: UInt8.self))
      } else {
        partial += piece
        goesOn = partial.withUnsafeBufferPointer(each)
        // A large line's memory is not kept for ever.
        partial.removeAll(keepingCapacity: partial.count <= 1 << 16)
      }
      if !goesOn { return true }
    }
    guard partial.count + rest.count <= bytesMax else { return overflow() }
    partial += rest
    return true
  }

  private mutating func overflow() -> Bool {
    partial = []
    return false
  }

  private static func lineFeed(in bytes: UnsafeRawBufferPointer) -> Int? {
    guard let start = bytes.baseAddress, bytes.count > 0,
      let found = memchr(start, 0x0A, bytes.count)
    else { return nil }
    return UnsafeRawPointer(found) - start
  }
}
