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
    var words: (UInt64, UInt64) = (0, 0)
    for position in 0..<uuidLength {
      let byte = text[position]
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
      if position <= 18 {
        words.0 = words.0 << 4 | UInt64(digit)
      } else {
        words.1 = words.1 << 4 | UInt64(digit)
      }
    }
    return .uuid(high: words.0, low: words.1)
  }

  private static func unpack(
    _ high: UInt64, _ low: UInt64, to target: UnsafeMutablePointer<UInt8>
  ) {
    var position = 0
    func put(_ word: UInt64, _ digits: Range<UInt64>) {
      for index in digits {
        let digit = UInt8(truncatingIfNeeded: word >> (60 - 4 * index) & 0xF)
        target[position] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit
        position += 1
      }
      if position < uuidLength {
        target[position] = UInt8(ascii: "-")
        position += 1
      }
    }
    put(high, 0..<8)
    put(high, 8..<12)
    put(high, 12..<16)
    put(low, 0..<4)
    put(low, 4..<16)
  }
}

extension JobID: CustomStringConvertible {
  /// The id as it stands in URLs.
  public var description: String { text }
}
