/// Eight bytes looked at as one word: whole runs of plain text pass in one step.
enum EightBytes {
  private static let ones: UInt64 = 0x0101_0101_0101_0101
  private static let highBits: UInt64 = 0x8080_8080_8080_8080

  /// The eight bytes at `address`, the first one lowest, whatever its alignment.
  @inline(__always)
  static func load(_ address: UnsafePointer<UInt8>) -> UInt64 {
    UInt64(littleEndian: UnsafeRawPointer(address).loadUnaligned(as: UInt64.self))
  }

  /// A word whose lowest set bit is bit 7 of the first byte that is a quote, a backslash or a
  /// control character; 0 when there is none. (Bits above the lowest may be wrong: a borrow can
  /// flag the byte after a true one.) Bytes from 0x80 do not count.
  @inline(__always)
  static func specials(_ word: UInt64) -> UInt64 {
    let quotes = word ^ (ones &* UInt64(Byte.quote))
    let backslashes = word ^ (ones &* UInt64(Byte.backslash))
    let found =
      ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes)
      | ((word &- ones &* 0x20) & ~word)
    return found & highBits
  }

  /// The same for bytes from 0x80.
  @inline(__always)
  static func nonASCII(_ word: UInt64) -> UInt64 { word & highBits }

  /// The index, from 0, of the first byte flagged in `flags`, which must not be 0.
  @inline(__always)
  static func first(_ flags: UInt64) -> Int { flags.trailingZeroBitCount &>> 3 }
}
