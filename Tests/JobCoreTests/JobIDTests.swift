import Testing

@testable import JobCore

/// Names of jobs.
@Suite struct JobIDTests {
  @Test(arguments: [
    "a", "...", "-", "_", ".a", "A.b_c-9", "0", String(repeating: "x", count: 64),
    "AZaz09._-",
  ])
  func `what the rule allows is taken and given back as it is`(text: String) {
    #expect(JobID(text)?.text == text)
    #expect(JobID(text)?.description == text)
  }

  @Test(arguments: [
    "", ".", "..", String(repeating: "x", count: 65), "a b", "a/b", "a%20", "ä", "a\u{0}", "a\n",
    "@", "[", "`", "{", ":", ",", "+", String(repeating: "é", count: 32),
  ])
  func `what the rule does not allow is refused`(text: String) {
    #expect(JobID(text) == nil)
  }

  @Test func `all bytes are judged as the rule says`() {
    let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-".utf8)
    for byte in UInt8.min...127 {
      let text = "a" + String(UnicodeScalar(byte))
      #expect((JobID(text) != nil) == allowed.contains(byte), "\(byte)")
    }
  }

  static let time: Timestamp = 1_700_000_000_000

  @Test func `our own ids are UUIDs of version 7`() {
    let none = JobID(version7At: JobIDTests.time, random: (0, 0))
    #expect(none.text == "018bcfe5-6800-7000-8000-000000000000")
    let all = JobID(version7At: JobIDTests.time, random: (.max, .max))
    #expect(all.text == "018bcfe5-6800-7fff-bfff-ffffffffffff")
    let latest = JobID(version7At: 0xFFFF_FFFF_FFFF, random: (0x123, 0x4567))
    #expect(latest.text == "ffffffff-ffff-7123-8000-000000004567")
  }

  @Test func `our own ids sort by the time they were made`() {
    var random = TestRandom(seed: 4)
    var last = ""
    for step in 0..<500 {
      let id = JobID(
        version7At: JobIDTests.time + Timestamp(step) * 7, random: (random.next(), random.next()))
      #expect(last < id.text)
      last = id.text
    }
  }

  @Test func `every byte at every place of a UUID is judged as the rule says`() {
    let usual = [UInt8]("018bcfe5-6800-7fff-8000-0123456789ab".utf8)
    let digits = Set("0123456789abcdef".utf8)
    for place in usual.indices {
      let isDash = usual[place] == UInt8(ascii: "-")
      for byte in UInt8.min...UInt8.max {
        var bytes = usual
        bytes[place] = byte
        let id = bytes.withUnsafeBufferPointer { JobID($0) }
        let isUsual = isDash ? byte == usual[place] : digits.contains(byte)
        #expect(id?.isPacked ?? false == isUsual, "\(byte) at \(place)")
        if let id { #expect(Array(id.text.utf8) == bytes) }
      }
    }
  }

  @Test func `every UUID in its usual form keeps its text, and equals the one that was made`() {
    var random = TestRandom(seed: 5)
    for _ in 0..<500 {
      let id = JobID(
        version7At: Timestamp(random.below(1 << 48)), random: (random.next(), random.next()))
      #expect(JobID(id.text) == id)
      #expect(JobID(id.text)?.hashValue == id.hashValue)
      #expect(JobID(id.text)?.stableHash == id.stableHash)
    }
    for text in [
      "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
      "01234567-89ab-cdef-fedc-ba9876543210",
    ] {
      #expect(JobID(text)?.text == text)
    }
  }

  @Test(arguments: [
    "018BCFE5-6800-7FFF-8000-000000000001", "018bcfe5-6800-7Fff-8000-000000000001",
    "018bcfe5068000-7fff-8000-00000000000", "018bcfe5-6800-7fff-8000-00000000000g",
    "018bcfe5.6800-7fff-8000-000000000001", "018bcfe5-6800-7fff-8000-0000000000001",
    "018bcfe5-6800-7fff-8000000-000000001", "018bcfe568007fff8000000000000001",
  ])
  func `what only resembles a UUID keeps its text and is another id`(text: String) throws {
    let id = try #require(JobID(text))
    #expect(id.text == text)
    #expect(id != JobID("018bcfe5-6800-7fff-8000-000000000001"))
    #expect(id == JobID(text))
  }

  @Test(
    arguments: [
      ("a", 0xAF63_DC4C_8601_EC8C), ("my.job_1-A", 0xD6A6_F2CD_FFF5_4B70),
      ("018bcfe5-6800-7123-bfff-ffffffffffff", 0x154A_89A9_5F6B_6F51),
      ("018bcfe5-6800-7fff-8000-000000000001", 0x1A55_D07E_D76E_7E3C),
      ("018BCFE5-6800-7FFF-8000-000000000001", 0x8DF6_2C15_EE81_D2C3),
    ] as [(String, UInt64)])
  func `the stable hash never changes, as snapshots hold it`(text: String, hash: UInt64) {
    #expect(JobID(text)?.stableHash == hash)
  }

  @Test func `the engine makes ids from its seed and the moment`() throws {
    var rig = Rig()
    let number = try rig.square()
    let text = try #require(rig.store[number]).id.text
    #expect(text.hasPrefix("018bcfe5-6800-7"))
    var same = Rig()
    _ = try same.square()
    #expect(same.store[number]?.id.text == text)
  }
}
