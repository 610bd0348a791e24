/// The name of a job in URLs: `[A-Za-z0-9._-]{1,64}`, but not `.` or `..`.
///
/// Ours are UUIDs of version 7 (RFC 9562), so that ids sort by the time they were made and two
/// machines never make the same one. A UUID in its usual form is kept in 16 bytes.
public struct JobID: Hashable, Sendable {
  private enum Storage: Hashable {
    case uuid(high: UInt64, low: UInt64)
    case text(String)
  }

  private let storage: Storage

  /// The longest id, in characters.
  public static let lengthMax = 64

  /// Takes an id from a client; nil when it breaks the rule above.
  public init?(_ text: String) {
    guard JobID.isValid(text) else { return nil }
    storage = JobID.packed(text) ?? .text(text)
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
    case .uuid(let high, let low): JobID.unpacked(high, low)
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

  private static func isValid(_ text: String) -> Bool {
    let length = text.utf8.count
    guard length >= 1, length <= lengthMax, text != ".", text != ".." else { return false }
    return text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        true
      default: false
      }
    }
  }

  /// The 16 bytes of a UUID in its canonical form (lower case, dashes at 8, 13, 18, 23).
  private static func packed(_ text: String) -> Storage? {
    guard text.utf8.count == 36 else { return nil }
    var words: (UInt64, UInt64) = (0, 0)
    var digits = 0
    for (position, byte) in text.utf8.enumerated() {
      if position == 8 || position == 13 || position == 18 || position == 23 {
        guard byte == UInt8(ascii: "-") else { return nil }
        continue
      }
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      default: return nil
      }
      if digits < 16 {
        words.0 = words.0 << 4 | UInt64(digit)
      } else {
        words.1 = words.1 << 4 | UInt64(digit)
      }
      digits += 1
    }
    return .uuid(high: words.0, low: words.1)
  }

  private static func unpacked(_ high: UInt64, _ low: UInt64) -> String {
    String(unsafeUninitializedCapacity: 36) { buffer in
      var position = 0
      func put(_ word: UInt64, _ from: UInt64, _ count: UInt64) {
        for index in from..<from + count {
          let digit = UInt8(truncatingIfNeeded: word >> (60 - 4 * index) & 0xF)
          buffer[position] =
            digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit
          position += 1
        }
      }
      func dash() {
        buffer[position] = UInt8(ascii: "-")
        position += 1
      }
      put(high, 0, 8)
      dash()
      put(high, 8, 4)
      dash()
      put(high, 12, 4)
      dash()
      put(low, 0, 4)
      dash()
      put(low, 4, 12)
      return 36
    }
  }
}

extension JobID: CustomStringConvertible {
  /// The id as it stands in URLs.
  public var description: String { text }
}
