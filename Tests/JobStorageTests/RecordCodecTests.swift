import JobCore
import TestSupport
import Testing

@testable import JobStorage

struct RecordCodecTests {
  /// The text of one record's line, without its line feed.
  private func line(_ record: Record, sequence: UInt64 = 17) -> String {
    var encoder = RecordEncoder()
    encoder.append([record], at: 0, sequence: sequence)
    return String(decoding: encoder.bytes.dropLast(), as: UTF8.self)
  }

  private func decode(_ line: String) throws -> (sequence: UInt64, record: Record) {
    var decoder = RecordDecoder()
    return try Array(line.utf8).withUnsafeBufferPointer { try decoder.record($0) }
  }

  /// The line with this content after the checksum, whatever that is.
  private func fails(_ content: String) -> String {
    do {
      let (_, record) = try decode("{\"crc\":\"00000000\",\(content)}")
      return "\(record)"
    } catch RecordDecoder.Unreadable.content(let reason) {
      return reason
    } catch {
      return "\(error)"
    }
  }

  @Test func `every record comes back as it was written`() throws {
    for seed in 0..<3_000 as Range<UInt64> {
      var generator = SplitMix(seed: seed)
      let record = generator.record()
      let sequence = UInt64.random(in: 1...UInt64(Int.max), using: &generator)
      let text = line(record, sequence: sequence)
      try #require(!text.contains("\n"), "seed \(seed)")
      #expect(Array(text.utf8).withUnsafeBufferPointer(RecordCodec.isWhole), "seed \(seed)")
      let (readSequence, readRecord) = try decode(text)
      try #require(readRecord == record && readSequence == sequence, "seed \(seed)")
    }
  }

  @Test func `the lines of the specification are what is written`() {
    let id = JobID("0198b0c2-0000-7000-8000-000000000005")!
    let submitted = JobSubmitted(
      number: 5, id: id, task: "square", pool: "main", args: "[7]", options: nil,
      at: 1_767_225_600_123)
    let rest = { (text: String) in String(text.dropFirst(RecordCodec.prefixBytes)) }
    #expect(
      rest(line(.jobSubmitted(submitted)))
        == #""seq":17,"job_submitted":{"job":5,"id":"0198b0c2-0000-7000-8000-000000000005","#
        + #""task":"square","pool":"main","at":1767225600123,"args":[7]}}"#)
    #expect(
      rest(line(.attemptStarted(5, attempt: 1, at: 8), sequence: 18))
        == #""seq":18,"attempt_started":{"job":5,"attempt":1,"at":8}}"#)
    #expect(
      rest(line(.jobEnded(5, .succeeded("49"), at: 9), sequence: 19))
        == #""seq":19,"job_ended":{"job":5,"at":9,"result":49}}"#)
    let bytes = BytesResult(contentType: "image/png", base64: "iVBORw==")
    #expect(
      rest(line(.jobEnded(5, .succeededWithBytes(bytes), at: 9), sequence: 19))
        == #""seq":19,"job_ended":{"job":5,"at":9,"result":"iVBORw==","#
        + #""content_type":"image/png"}}"#)
    let error = JobError(code: .timedOut, type: "T", message: "m", exitcode: -9, attempt: 2)
    #expect(
      rest(line(.jobEnded(5, .failed(error), at: 9), sequence: 20))
        == #""seq":20,"job_ended":{"job":5,"at":9,"error":{"code":"timed_out","type":"T","#
        + #""message":"m","exitcode":-9,"attempt":2}}}"#)
    #expect(
      rest(line(.jobEnded(5, .cancelled, at: 9), sequence: 21))
        == #""seq":21,"job_ended":{"job":5,"at":9,"cancelled":true}}"#)
    #expect(
      rest(line(.attemptRevoked(5, .notStarted), sequence: 22))
        == #""seq":22,"attempt_revoked":{"job":5,"reason":"not_started"}}"#)
  }

  @Test func `a checksum stands for the bytes between its member and the line feed`() {

    #expect(
      line(.jobQueued(3), sequence: 1) == #"{"crc":"\#(crc)","seq":1,"job_queued":{"job":3}}"#)
  }

  private var crc: String {
    let content = #""seq":1,"job_queued":{"job":3}}"#
    // Bit by bit, as the definition has it, and not by the tables.
    var register: UInt32 = .max
    for byte in content.utf8 {
      register ^= UInt32(byte)
      for _ in 0..<8 { register = register & 1 == 1 ? register >> 1 ^ 0x82F6_3B78 : register >> 1 }
    }
    let digits = String(~register, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  @Test func `what the specification does not have is refused`() {
    #expect(fails(#""seq":1,"job_queued":{"job":3,"x":1}"#) == #"job_queued has no member "x""#)
    #expect(fails(#""seq":1,"job_queued":{"job":3,"job":3}"#) == #""job" stands twice"#)
    #expect(fails(#""seq":1,"job_queued":{}"#) == #"job_queued lacks "job""#)
    #expect(
      fails(#""seq":1,"attempt_started":{"job":3}"#)
        == #"attempt_started lacks "at", "attempt""#)
    #expect(fails(#""seq":1,"job_queued":{"job":0}"#) == #""job" cannot be 0"#)
    #expect(
      fails(#""seq":1,"attempt_revoked":{"job":1,"reason":"x"}"#) == #""reason" cannot be "x""#)
    #expect(fails(#""seq":1,"job_eaten":{"job":3}"#) == #""job_eaten" has no place in this line"#)
    #expect(
      fails(#""seq":1,"job_queued":{"job":3},"job_queued":{"job":3}"#)
        == #""job_queued" has no place in this line"#)
    #expect(fails(#""job_queued":{"job":3}"#) == "the line holds no record")
    #expect(fails(#""seq":1"#) == "the line holds no record")
    #expect(
      fails(#""seq":1,"job_ended":{"job":3,"at":1}"#)
        == #"job_ended needs one of "result", "error", "cancelled""#)
    #expect(
      fails(#""seq":1,"job_ended":{"job":3,"at":1,"result":1,"cancelled":true}"#)
        == #"job_ended needs one of "result", "error", "cancelled""#)
    #expect(
      fails(#""seq":1,"job_ended":{"job":3,"at":1,"cancelled":true,"content_type":"a/b"}"#)
        == #"job_ended has a "content_type" without a "result""#)
    for result in [#""abc""#, #""ab c""#, "17", #""é===""#] {
      #expect(
        fails(#""seq":1,"job_ended":{"job":3,"at":1,"result":\#(result),"content_type":"a/b"}"#)
          == #"a "result" with a "content_type" is a string of base64"#)
    }
    #expect(
      fails(#""seq":1,"job_ended":{"job":3,"at":1,"error":{"code":"raised"}}"#)
        == #"an error lacks one of "code", "type", "message", "attempt""#)
  }

  @Test func `a line may tell how far the journal was known to be on the disk`() throws {
    var encoder = RecordEncoder()
    encoder.append([.jobQueued(3)], at: 0, sequence: 17, synced: 16)
    let text = String(decoding: encoder.bytes.dropLast(), as: UTF8.self)
    #expect(
      text.dropFirst(RecordCodec.prefixBytes) == #""seq":17,"synced":16,"job_queued":{"job":3}}"#)
    var decoder = RecordDecoder()
    func read(_ text: String) throws {
      _ = try Array(text.utf8).withUnsafeBufferPointer { try decoder.record($0) }
    }
    try read(text)
    #expect(decoder.synced == 16)
    try read(line(.jobQueued(3)))
    #expect(decoder.synced == 0, "it is left from the line before")
    for (synced, fault) in [
      ("17", #""synced" cannot be 17"#), ("0", #""synced" has no place in this line"#),
      ("-1", #""synced" has no place in this line"#),
      (#"1,"synced":1"#, #""synced" has no place in this line"#),
    ] {
      #expect(fails(#""seq":17,"synced":\#(synced),"job_queued":{"job":3}"#) == fault)
    }
    var old = RecordDecoder(version: 2)
    #expect(throws: RecordDecoder.Unreadable.self) {
      try Array(text.utf8).withUnsafeBufferPointer { try old.record($0) }
    }
  }

  @Test func `members may come in any order`() throws {
    let (_, record) = try decode(
      #"{"crc":"00000000","attempt_started":{"at":7,"attempt":2,"job":3},"seq":5}"#)
    #expect(record == .attemptStarted(3, attempt: 2, at: 7))
  }

  @Test func `every changed bit of a line is found`() {
    var bytes = Array(line(.jobEnded(5, .succeeded("[1,2]"), at: 9)).utf8)
    #expect(bytes.withUnsafeBufferPointer(RecordCodec.isWhole))
    for index in bytes.indices {
      for bit in 0..<8 {
        bytes[index] ^= 1 << bit
        #expect(!bytes.withUnsafeBufferPointer(RecordCodec.isWhole), "byte \(index), bit \(bit)")
        bytes[index] ^= 1 << bit
      }
    }
  }

  /// What kinds of record a story has.
  private func kinds(_ story: Story) -> Set<String> {
    var kinds: Set<String> = []
    for record in story.records {
      let names = line(record).dropFirst(RecordCodec.prefixBytes).split(separator: "\"")
      kinds.insert(String(names[2]))
      if case .jobSubmitted(let submitted) = record, submitted.options?.chunk != nil {
        kinds.insert("chunk")
      }
    }
    return kinds
  }

  /// Or the tests that cut, flip and fail what a story has written say nothing of them.
  @Test func `stories have records of every kind`() {
    let every: Set = [
      "job_submitted", "attempt_started", "attempt_revoked", "attempt_failed", "job_queued",
      "cancel_requested", "job_ended", "job_forgotten", "job_withdrawn", "map_created",
      "map_input_ended", "map_cancel_requested", "chunk_released", "map_forgotten",
      "map_withdrawn", "chunk",
    ]
    let found = (0..<60).reduce(into: Set<String>()) { found, seed in
      found.formUnion(kinds(Story(seed: UInt64(seed), count: 60)))
    }
    #expect(every.subtracting(found).isEmpty)
    // Those whose every call fails, whose every byte is left out or changed, and that are sealed.
    for (seed, count) in [(77, 60), (1, 25), (2, 12), (12, 30), (10, 60), (5, 60)]
      as [(UInt64, Int)]
    {
      let kinds = kinds(Story(seed: seed, count: count))
      #expect(kinds.isSuperset(of: ["map_created", "chunk"]), "seed \(seed): \(kinds)")
    }
  }

  @Test func `a whole line is found wherever it begins, and none where none is`() {
    let whole = Array(line(.jobEnded(5, .succeeded(#"{"crc":"00000000","a":1}"#), at: 9)).utf8)
    func isFound(_ bytes: [UInt8]) -> Bool {
      var isFound = false
      bytes.withUnsafeBufferPointer { bytes in
        RecordCodec.forEachWholeLine(in: bytes) { found in
          isFound = found.elementsEqual(whole)
          return !isFound
        }
      }
      return isFound
    }
    let lineFeed = UInt8(ascii: "\n")
    for before in [[], [0], [lineFeed], Array(whole[3...]), Array(whole[..<20]), whole + [1]]
      as [[UInt8]]
    {
      #expect(isFound(before + whole + [lineFeed]))
      #expect(!isFound(before + whole))
      #expect(!isFound(before + whole + [0, lineFeed]))
      for index in whole.indices {
        var changed = whole
        changed[index] ^= 1
        #expect(!isFound(before + changed + [lineFeed]), "byte \(index)")
      }
    }
  }

  /// Looking at the rest of the line for each of them would take minutes here.
  @Test(.timeLimit(.minutes(1)))
  func `arguments that look like beginnings cost one look each`() {
    let beginnings = String(repeating: #"{"crc":"00000000","#, count: 20_000)
    let whole = line(.jobQueued(3))
    for (text, expected) in [(beginnings + whole + "\n", 1), (beginnings + "\n", 0)] {
      var found = 0
      Array(text.utf8).withUnsafeBufferPointer { bytes in
        RecordCodec.forEachWholeLine(in: bytes) { line in
          found += line.elementsEqual(whole.utf8) ? 1 : 2
          return true
        }
      }
      #expect(found == expected)
    }
  }
}
