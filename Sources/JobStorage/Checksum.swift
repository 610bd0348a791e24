import CPlatform

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4): polynomial 0x1EDC6F41, reflected, all ones at the
/// start, inverted at the end. It finds every burst of damage up to 32 bits long, so every changed
/// byte.
struct Checksum: Equatable, Sendable {
  private var register: UInt32 = 0xFFFF_FFFF

  /// Of no bytes.
  init() {}

  /// Of `bytes`.
  @inline(__always)
  init(of bytes: UnsafeRawBufferPointer) {
    update(bytes)
  }

  /// The checksum of everything that was added so far.
  var value: UInt32 { ~register }

  /// Adds bytes.
  @inline(__always)
  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard Checksum.isNative else { return updateByTables(bytes) }
    register = lido_crc32c_native(register, bytes.baseAddress, bytes.count)
  }

  /// Whether the CPU computes it.
  private static let isNative = lido_crc32c_is_native() != 0

  /// The same without the CPU's help. Eight bytes at a time, each looked up in a table of its own
  /// ("slicing by 8": M. Kounavis and F. Berry, "Novel Table Lookup-Based Algorithms for
  /// High-Performance CRC Generation", 2008), which keeps eight look-ups in flight where the
  /// classic loop waits for each.
  mutating func updateByTables(_ bytes: UnsafeRawBufferPointer) {
    let table = Checksum.table
    var crc = register
    var position = 0
    let count = bytes.count
    while position &+ 8 <= count {
      let word =
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        ^ UInt64(crc)
      crc =
        table[1792 | Int(word & 0xFF)] ^ table[1536 | Int(word >> 8 & 0xFF)]
        ^ table[1280 | Int(word >> 16 & 0xFF)] ^ table[1024 | Int(word >> 24 & 0xFF)]
        ^ table[768 | Int(word >> 32 & 0xFF)] ^ table[512 | Int(word >> 40 & 0xFF)]
        ^ table[256 | Int(word >> 48 & 0xFF)] ^ table[Int(word >> 56)]
      position &+= 8
    }
    while position < count {
      crc = crc >> 8 ^ table[Int((crc ^ UInt32(bytes[position])) & 0xFF)]
      position &+= 1
    }
    register = crc
  }

  /// The checksum of the last `count` bytes that were added, on their own; `before` is this
  /// checksum as it was before them. It takes the time of some additions, however many bytes there
  /// are.
  ///
  /// The register is a polynomial over GF(2), and linear in what it was `count` bytes ago: that
  /// comes out multiplied by x to the power of 8 `count`. So the part of the bytes before can be
  /// taken out, and that of all ones put in.
  func ofLast(_ count: Int, before: Checksum) -> Checksum {
    var difference = before.register ^ Checksum().register
    var rest = count
    var index = 0
    while rest > 0 {
      if rest & 1 == 1 { difference = Checksum.product(difference, Checksum.powers[index]) }
      rest >>= 1
      index &+= 1
    }
    var last = self
    last.register ^= difference
    return last
  }

  /// x to the power of 8, squared again and again: entry k moves over 2^k bytes.
  private static let powers: [UInt32] = {
    // Bit 31 is x^0, as everything is reflected.
    var powers: [UInt32] = [1 << 23]
    for index in 1..<Int.bitWidth { powers.append(product(powers[index - 1], powers[index - 1])) }
    return powers
  }()

  private static func product(_ left: UInt32, _ right: UInt32) -> UInt32 {
    var product: UInt32 = 0
    var multiple = left
    var rest = right
    while rest != 0 {
      if rest >> 31 == 1 { product ^= multiple }
      multiple = multiple & 1 == 1 ? multiple >> 1 ^ polynomial : multiple >> 1
      rest <<= 1
    }
    return product
  }

  /// Reflected.
  private static let polynomial: UInt32 = 0x82F6_3B78

  /// Eight tables of 256 entries: table k holds the effect of a byte k places from the end.
  /// reason: written once, before anyone can see it.
  nonisolated(unsafe) private static let table: UnsafePointer<UInt32> = {
    let table = UnsafeMutablePointer<UInt32>.allocate(capacity: 2048)
    for byte in 0..<256 {
      var crc = UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ polynomial : crc >> 1 }
      table[byte] = crc
    }
    for index in 256..<2048 {
      let before = table[index - 256]
      table[index] = before >> 8 ^ table[Int(before & 0xFF)]
    }
    return UnsafePointer(table)
  }()
}
