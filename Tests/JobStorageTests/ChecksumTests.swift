import Testing

@testable import JobStorage

struct ChecksumTests {
  /// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  @Test(
    arguments: [
      ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
      ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
      (Array(0..<32), 0x46DD_794E),
      (Array((0..<32).reversed()), 0x113F_DB5C),
      (Array("123456789".utf8), 0xE306_9283),
      ([], 0),
    ] as [([UInt8], UInt32)])
  func `equals the published values`(bytes: [UInt8], expected: UInt32) {
    #expect(bytes.withUnsafeBytes { Checksum(of: $0).value } == expected)
  }

  @Test func `is the same however the bytes are cut`() {
    let bytes = (0..<100).map { UInt8(truncatingIfNeeded: $0 &* 37) }
    let whole = bytes.withUnsafeBytes { Checksum(of: $0).value }
    for cut in 0...100 {
      var checksum = Checksum()
      bytes[..<cut].withUnsafeBytes { checksum.update($0) }
      bytes[cut...].withUnsafeBytes { checksum.update($0) }
      #expect(checksum.value == whole)
    }
  }

  @Test func `is the same with the CPU's help as without`() {
    var random = SystemRandomNumberGenerator()
    for count in [0, 1, 7, 8, 9, 63, 64, 65, 1_000, 4_097] {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      var (helped, alone) = (Checksum(), Checksum())
      bytes.withUnsafeBytes {
        helped.update($0)
        alone.updateByTables($0)
      }
      #expect(helped == alone, "of \(bytes)")
    }
  }

  @Test func `of the last bytes is known without another look at them`() {
    let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
    let whole = bytes.withUnsafeBytes { Checksum(of: $0) }
    for cut in 0...300 {
      let before = bytes[..<cut].withUnsafeBytes { Checksum(of: $0) }
      let last = bytes[cut...].withUnsafeBytes { Checksum(of: $0) }
      #expect(whole.ofLast(300 - cut, before: before) == last, "cut at \(cut)")
    }
  }
}
