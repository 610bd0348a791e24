/// Cuts what arrives on a channel into frames. Keeps the beginning of a frame until the rest has
/// come; whole frames are handed on in place.
struct FrameInput {
  private var partial: [UInt8] = []

  /// Takes the next `bytes` and calls `each` for every frame that is complete with them, until it
  /// returns false: then the rest is dropped, because nobody reads on.
  mutating func take(
    _ bytes: UnsafeRawBufferPointer, _ each: (Frame) -> Bool
  ) throws(FrameError) {
    if partial.isEmpty {
      let consumed = try Self.cut(bytes, each)
      if consumed < bytes.count { partial += UnsafeRawBufferPointer(rebasing: bytes[consumed...]) }
    } else {
      partial += bytes
      guard partial.count >= 4, partial.count >= 4 + Self.length(partial) else {
        if partial.count >= 4 { try reserve() }
        return
      }
      let consumed = try partial.span.withUnsafeBytes { (all) throws(FrameError) -> Int in
        try Self.cut(all, each)
      }
      if consumed == partial.count {
        // A large frame's memory is not kept for ever.
        partial.removeAll(keepingCapacity: partial.count <= 1 << 16)
      } else {
        partial.removeFirst(consumed)
      }
    }
  }

  /// Makes room for the whole frame at once, once its length is known and allowed.
  private mutating func reserve() throws(FrameError) {
    let length = Self.length(partial)
    guard length <= Frame.bytesMax else { throw FrameError(reason: "a frame of \(length) bytes") }
    partial.reserveCapacity(4 + length)
  }

  private static func length(_ bytes: [UInt8]) -> Int {
    bytes.withUnsafeBytes {
      Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt32.self)))
    }
  }

  /// Returns how many bytes the whole frames took.
  private static func cut(
    _ bytes: UnsafeRawBufferPointer, _ each: (Frame) -> Bool
  ) throws(FrameError) -> Int {
    var offset = 0
    while bytes.count - offset >= 4 {
      let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
      guard length >= Frame.headerBytes - 4, length <= Frame.bytesMax else {
        throw FrameError(reason: "a frame of \(length) bytes")
      }
      guard bytes.count - offset - 4 >= length else { break }
      let frame = Frame(
        kind: bytes[offset + 4],
        call: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 5, as: UInt64.self)),
        payload: UnsafeRawBufferPointer(
          rebasing: bytes[offset + Frame.headerBytes..<offset + 4 + length]))
      offset += 4 + length
      if !each(frame) { return bytes.count }
    }
    return offset
  }
}

/// Reads a payload from its beginning. Every read checks the bounds; nil says that the payload is
/// too short.
struct PayloadReader {
  private let bytes: UnsafeRawBufferPointer
  private var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
  }

  var isAtEnd: Bool { offset == bytes.count }

  mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(
    _: Number.Type
  ) -> Number? {
    let size = MemoryLayout<Number>.size
    guard bytes.count - offset >= size else { return nil }
    defer { offset += size }
    return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
  }

  mutating func piece(_ count: Int) -> UnsafeBufferPointer<UInt8>? {
    guard bytes.count - offset >= count else { return nil }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
      .assumingMemoryBound(to: UInt8.self)
  }

  /// A string with its length, one byte, before it.
  mutating func name() -> String? {
    guard let count = number(UInt8.self), let text = piece(Int(count)) else { return nil }
    return String(decoding: text, as: UTF8.self)
  }

  /// All that is left.
  mutating func rest() -> UnsafeBufferPointer<UInt8> {
    defer { offset = bytes.count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset...]).assumingMemoryBound(to: UInt8.self)
  }
}
