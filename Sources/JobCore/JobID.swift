/// The name of a job in URLs: `[A-Za-z0-9._-]{1,64}`, but not `.` or `..`.
///
/// Ours are UUIDs of version 7 (RFC 9562), so that ids sort by the time they were made and two
/// machines never make the same one. A UUID in its usual form is kept in 16 bytes.
public struct JobID: Hashable, Sendable {
  private enum Storage: Hashable {
    case uuid(high: UInt64, low: UInt64)
    case text(String)

    /// Without the discriminator, which the lookup of every request need not mix in.
    func hash(into hasher: inout Hasher) {
      switch self {
      case .uuid(let high, let low):
        hasher.combine(high)
        hasher.combine(low)
      case .text(let text): hasher.combine(text)
      }
    }
  }

  private let storage: Storage

  /// Whether it is a UUID in its usual form, kept in 16 bytes.
  var isPacked: Bool {
    if case .uuid = storage { true } else { false }
  }

  /// The last 48 bits of a UUID, as many as the number of a job has; nil of any other id.
  @inline(__always)
  var last48Bits: UInt64? {
    guard case .uuid(_, let low) = storage else { return nil }
    return low & (NumberTable.numberLimit - 1)
  }

  /// The longest id, in characters.
  public static let lengthMax = 64

  /// Takes an id from a client; nil when it breaks the rule above.
  public init?(_ text: String) {
    var text = text
    guard let id = text.withUTF8({ JobID($0) }) else { return nil }
    self = id
  }

  /// The same from the bytes of the text: a UUID, the usual case, needs no string.
  public init?(_ bytes: UnsafeBufferPointer<UInt8>) {
    if let packed = JobID.packed(bytes) {
      storage = packed
    } else if JobID.isValid(bytes) {
      storage = .text(String(decoding: bytes, as: UTF8.self))
    } else {
      return nil
    }
  }

  /// A UUID of version 7: 48 bits of `timestamp`, then the low 74 bits of `random` in its places.
  public init(version7At timestamp: Timestamp, random: (UInt64, UInt64)) {
    let time = UInt64(truncatingIfNeeded: timestamp) & 0xFFFF_FFFF_FFFF
    storage = .uuid(
      high: time << 16 | 0x7000 | random.0 & 0x0FFF,
      low: 0x8000_0000_0000_0000 | random.1 & 0x3FFF_FFFF_FFFF_FFFF)
  }

  /// The id as it stands in URLs and JSON.
  public var text: String {
    switch storage {
    case .text(let text): text
    case .uuid:
      String(unsafeUninitializedCapacity: JobID.uuidLength) { buffer in
        if let start = buffer.baseAddress { write(to: start) }
        return JobID.uuidLength
      }
    }
  }

  /// How many bytes `text` has.
  public var byteCount: Int {
    switch storage {
    case .text(let text): text.utf8.count
    case .uuid: JobID.uuidLength
    }
  }

  /// Writes the bytes of `text` to where `byteCount` of them have room.
  public func write(to target: UnsafeMutablePointer<UInt8>) {
    switch storage {
    case .text(var text):
      text.withUTF8 { bytes in
        if let start = bytes.baseAddress { target.initialize(from: start, count: bytes.count) }
      }
    case .uuid(let high, let low): JobID.unpack(high, low, to: target)
    }
  }

  /// A hash that is the same in every process (Swift's own is seeded anew in each): FNV-1a, 64 bit,
  /// over the id's bytes. Forgotten ids are remembered by it.
  public var stableHash: UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    switch storage {
    case .text(let text): for byte in text.utf8 { mix(byte) }
    case .uuid(let high, let low):
      for shift in stride(from: UInt64(56), through: 0, by: -8) {
        mix(UInt8(truncatingIfNeeded: high >> shift))
      }
      for shift in stride(from: UInt64(56), through: 0, by: -8) {
        mix(UInt8(truncatingIfNeeded: low >> shift))
      }
    }
    return hash
  }

  /// A hash that is another one in every process, so that nobody can choose ids that share a place.
  ///
  /// A UUID's two words are each added to a secret one, and the sums multiplied, as the universal
  /// hash NH does (J. Black and others, "UMAC", 1999); the halves of the product, of which NH keeps
  /// both, are joined. Swift's own hash takes some 200 instructions.
  var seededHash: UInt64 {
    switch storage {
    case .text(let text): return UInt64(bitPattern: Int64(text.hashValue))
    case .uuid(let high, let low):
      let secret = JobID.secret
      let product = (high &+ secret.0).multipliedFullWidth(by: low &+ secret.1)
      return product.high ^ product.low
    }
  }

  /// Of Swift's own hash, which is seeded once in each process.
  private static let secret = (
    UInt64(bitPattern: Int64(0.hashValue)), UInt64(bitPattern: Int64(1.hashValue))
  )

  private static let uuidLength = 36

  private static func isValid(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    guard text.count >= 1, text.count <= lengthMax else { return false }
    let dot = UInt8(ascii: ".")
    if text.count <= 2, text.allSatisfy({ $0 == dot }) { return false }
    return text.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"), dot, UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
  }

  /// The 16 bytes of a UUID in its canonical form (lower case, dashes at 8, 13, 18, 23).
  private static func packed(_ text: UnsafeBufferPointer<UInt8>) -> Storage? {
    guard text.count == uuidLength else { return nil }
    let bytes = UnsafeRawBufferPointer(text)
    func pair(_ first: Int, _ second: Int) -> UInt64 {
      let high = bytes.loadUnaligned(fromByteOffset: first, as: UInt32.self).bigEndian
      let low = bytes.loadUnaligned(fromByteOffset: second, as: UInt32.self).bigEndian
      return UInt64(high) << 32 | UInt64(low)
    }
    let dash = UInt8(ascii: "-")
    guard text[8] == dash, text[13] == dash, text[18] == dash, text[23] == dash,
      let first = HexDigits.value(pair(0, 4)), let second = HexDigits.value(pair(9, 14)),
      let third = HexDigits.value(pair(19, 24)), let fourth = HexDigits.value(pair(28, 32))
    else { return nil }
    return .uuid(
      high: UInt64(first) << 32 | UInt64(second), low: UInt64(third) << 32 | UInt64(fourth))
  }

  private static func unpack(
    _ high: UInt64, _ low: UInt64, to target: UnsafeMutablePointer<UInt8>
  ) {
    let bytes = UnsafeMutableRawPointer(target)
    func put(_ digits: UInt64, at first: Int, _ second: Int) {
      let (high, low) = (UInt32(digits >> 32), UInt32(truncatingIfNeeded: digits))
      bytes.storeBytes(of: high.bigEndian, toByteOffset: first, as: UInt32.self)
      bytes.storeBytes(of: low.bigEndian, toByteOffset: second, as: UInt32.self)
    }
    put(HexDigits.text(UInt32(high >> 32)), at: 0, 4)
    put(HexDigits.text(UInt32(truncatingIfNeeded: high)), at: 9, 14)
    put(HexDigits.text(UInt32(low >> 32)), at: 19, 24)
    put(HexDigits.text(UInt32(truncatingIfNeeded: low)), at: 28, 32)
    let dash = UInt8(ascii: "-")
    (target[8], target[13], target[18], target[23]) = (dash, dash, dash, dash)
  }
}

/// Eight hexadecimal digits at once, in a word whose highest byte is the first digit: a handle
/// tells its id four times, and each digit on its own would be a branch.
package enum HexDigits {
  private static let ones: UInt64 = 0x0101_0101_0101_0101

  /// The digits of a number, in lower case.
  @inline(__always)
  package static func text(_ number: UInt32) -> UInt64 {
    var nibbles = UInt64(number)
    nibbles = (nibbles << 16 | nibbles) & 0x0000_FFFF_0000_FFFF
    nibbles = (nibbles << 8 | nibbles) & 0x00FF_00FF_00FF_00FF
    nibbles = (nibbles << 4 | nibbles) & 0x0F0F_0F0F_0F0F_0F0F
    return characters(nibbles)
  }

  /// The number that eight digits in lower case stand for; nil if one of them is none.
  @inline(__always)
  static func value(_ text: UInt64) -> UInt32? {
    // A letter has bit 6, and its low nibble counts from 1.
    var nibbles = text & (ones &* 0x0F) &+ (text >> 6 & ones) &* 9
    guard nibbles & (ones &* 0xF0) == 0, characters(nibbles) == text else { return nil }
    nibbles = (nibbles | nibbles >> 4) & 0x00FF_00FF_00FF_00FF
    nibbles = (nibbles | nibbles >> 8) & 0x0000_FFFF_0000_FFFF
    return UInt32(truncatingIfNeeded: nibbles | nibbles >> 16)
  }

  /// Each byte, from 0 to 15, as its digit.
  @inline(__always)
  private static func characters(_ nibbles: UInt64) -> UInt64 {
    let isLetter = (nibbles &+ ones &* 6) >> 4 & ones
    return nibbles &+ ones &* UInt64(UInt8(ascii: "0")) &+ isLetter &* 39
  }
}

extension JobID: CustomStringConvertible {
  /// The id as it stands in URLs.
  public var description: String { text }
}
