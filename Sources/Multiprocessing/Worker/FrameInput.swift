/// Cuts what arrives on a channel into frames. Keeps the beginning of a frame until the rest has
/// come; whole frames are handed on in place.
struct FrameInput {
  /// The longest frame that is taken, without its length field: what one peer can make this
  /// process hold.
  let bytesMax: Int
  private var partial: [UInt8] = []

  init(bytesMax: Int = Frame.bytesMax) {
    self.bytesMax = bytesMax
  }

  /// Takes the next `bytes` and calls `each` for every frame that is complete with them, until it
  /// returns false: then the rest is dropped, because nobody reads on.
  mutating func take(
    _ bytes: UnsafeRawBufferPointer, _ each: (Frame) -> Bool
  ) throws(FrameError) {
    if partial.isEmpty {
      let consumed = try cut(bytes, each)
      if consumed < bytes.count { partial += UnsafeRawBufferPointer(rebasing: bytes[consumed...]) }
      return
    }
    partial += bytes
    let known = try partial.span.withUnsafeBytes { (all) throws(FrameError) in
      try length(all, at: 0)
    }
    guard let length = known else { return }
    guard partial.count >= 4 + length else {
      partial.reserveCapacity(4 + length)  // Once, not doubling by doubling.
      return
    }
    let consumed = try partial.span.withUnsafeBytes { (all) throws(FrameError) in
      try cut(all, each)
    }
    if consumed == partial.count {
      // A large frame's memory is not kept for ever.
      partial.removeAll(keepingCapacity: partial.count <= 1 << 16)
    } else {
      partial.removeFirst(consumed)
    }
  }

  /// The length of the frame at `offset`, checked; nil if not even that has come.
  @inline(__always)
  private func length(
    _ bytes: UnsafeRawBufferPointer, at offset: Int
  ) throws(FrameError) -> Int? {
    guard bytes.count - offset >= 4 else { return nil }
    let length = Int(
      UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    guard length >= Frame.headerBytes - 4, length <= bytesMax else {
      throw FrameError(reason: "a frame of \(length) bytes")
    }
    return length
  }

  /// Returns how many bytes the whole frames took.
  private func cut(
    _ bytes: UnsafeRawBufferPointer, _ each: (Frame) -> Bool
  ) throws(FrameError) -> Int {
    var offset = 0
    while let length = try length(bytes, at: offset), bytes.count - offset - 4 >= length {
      let call = bytes.loadUnaligned(fromByteOffset: offset + 5, as: UInt64.self)
      let frame = Frame(
        kind: bytes[offset + 4], call: UInt64(littleEndian: call),
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
    nameBytes().map { String(decoding: $0, as: UTF8.self) }
  }

  /// The UTF-8 of such a string.
  mutating func nameBytes() -> UnsafeBufferPointer<UInt8>? {
    guard let count = number(UInt8.self) else { return nil }
    return piece(Int(count))
  }

  /// All that is left.
  mutating func rest() -> UnsafeBufferPointer<UInt8> {
    defer { offset = bytes.count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset...]).assumingMemoryBound(to: UInt8.self)
  }
}
