/// Eight bytes looked at as one word: whole runs of plain text pass in one step.
enum EightBytes {
  private static let ones: UInt64 = 0x0101_0101_0101_0101
  private static let highBits: UInt64 = 0x8080_8080_8080_8080

  /// The eight bytes at `address`, the first one lowest, whatever its alignment.
  @inline(__always)
  static func load(_ address: UnsafePointer<UInt8>) -> UInt64 {
    UInt64(littleEndian: UnsafeRawPointer(address).loadUnaligned(as: UInt64.self))
  }

  /// The one to seven bytes at `address`, and behind them spaces.
  @inline(__always)
  static func load(_ address: UnsafePointer<UInt8>, count: Int) -> UInt64 {
    let spaces = (ones &* UInt64(Byte.space)) &<< UInt64(count &* 8)
    guard count < 4 else {
      // Two halves that overlap.
      let bytes = UnsafeRawPointer(address)
      let first = UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
      let last = UInt32(
        littleEndian: bytes.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self))
      return spaces | UInt64(first) | UInt64(last) &<< UInt64((count &- 4) &* 8)
    }
    // The first, the middle and the last, of which some are the same.
    let middle = count &>> 1
    return spaces | UInt64(address[0]) | UInt64(address[middle]) &<< UInt64(middle &* 8)
      | UInt64(address[count &- 1]) &<< UInt64((count &- 1) &* 8)
  }

  /// Puts the eight bytes of `word` at `address`, the lowest one first, whatever its alignment.
  @inline(__always)
  static func store(_ word: UInt64, to address: UnsafeMutablePointer<UInt8>) {
    UnsafeMutableRawPointer(address).storeBytes(of: word.littleEndian, as: UInt64.self)
  }

  /// The digit `0` eight times.
  static let zeros: UInt64 = 0x3030_3030_3030_3030

  /// The eight decimal digits of a value below 100 000 000, the first one lowest, each as a byte
  /// 0...9. All are parted at once: into two halves of four, these into pairs, the pairs into
  /// digits. The factors are rounded reciprocals, exact for the few values that a part can have.
  @inline(__always)
  static func digits(_ value: UInt64) -> UInt64 {
    let fours = value / 10_000 | (value % 10_000) &<< 32
    let hundreds = (fours &* 10_486) &>> 20 & 0x0000_007F_0000_007F
    let pairs = hundreds | (fours &- hundreds &* 100) &<< 16
    let tens = (pairs &* 103) &>> 10 & 0x000F_000F_000F_000F
    return tens | (pairs &- tens &* 10) &<< 8
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
