// THE FORMAT OF THE JOURNAL, VERSION 3
//
// A segment, `journal-<seq>.jsonl`, is text: one JSON object a line, each line ended by one line
// feed (0x0A) and holding no other. The text is minified JSON (RFC 8259) in UTF-8.
//
// The last one may be named `….jsonl.begun`: the one before it is then not known to be on the disk
// (RecoveryTable.swift, "begun"). Its text is the same.
//
//   {"crc":"1a2b3c4d",REST}
//
// Every line begins with exactly these 18 bytes: `{"crc":"`, eight lower-case hexadecimal digits,
// `",`. The digits are the CRC-32C (Checksum.swift) of the bytes after the 18th up to the line
// feed, which is not included. A line that breaks this was not written whole, or was damaged.
//
// The first line of a segment tells what the file is. `journal` is the version of the format,
// `first` the sequence number of the first record to come (the same as in the file's name), and
// `created_at` when the segment was begun:
//
//   {"crc":"…","journal":3,"first":17,"created_at":1767225600000}
//
// Every further line is a record: its sequence number, then one member whose name says what
// happened. Sequence numbers begin at 1 and grow by one from line to line, from segment to segment:
//
//   {"crc":"…","seq":17,"job_submitted":{"job":5,"id":"…","task":"square","pool":"main",
//                                        "at":1767225600123,"args":[7]}}
//   {"crc":"…","seq":18,"attempt_started":{"job":5,"attempt":1,"at":1767225600124}}
//   {"crc":"…","seq":19,"job_ended":{"job":5,"at":1767225600125,"result":49}}
//
// Between the two there may be `"synced":16`: when the line was made, the records of this segment
// up to number 16 were known to be on the disk. It stands in the first line after that was heard.
// No loss of power has taken these; of those behind them the disk may have written any pages, in
// any order, with zeros in the place of the others (Wholeness.swift).
//
// | record | members, in this order; [in brackets]: left out at the default |
// |---|---|
// | job_submitted | job, id, task, pool, at, args, [kwargs], [timeout_ms], [attempts_max], |
// |               | [on_interrupt], [tags], [idempotency_key], [encoding], [main], |
// |               | [map, first, count] |
// | attempt_started | job, attempt, at |
// | attempt_revoked | job, reason |
// | attempt_failed | job, error, retry_at |
// | job_queued | job |
// | cancel_requested | job |
// | job_ended | job, at, and one of: result [content_type], error, cancelled |
// | job_forgotten | job |
// | job_withdrawn | job |
// | map_created | map, id, task, pool, at, chunk_size, [star], [total], [kwargs], |
// |             | [timeout_ms], [attempts_max], [on_interrupt], [tags], [idempotency_key], |
// |             | [encoding], [main] |
// | map_input_ended | map, at, [input_error] |
// | map_cancel_requested | map |
// | chunk_released | job |
// | map_forgotten | map |
// | map_withdrawn | map |
// | pool_created | pool, at, template, processes, [calls_max], [start_method], [initializer], |
// |              | [initargs], [main], [allow_pickle], [idle_timeout_ms], [idempotency_key] |
// | pool_resized | pool, processes |
// | pool_paused, pool_resumed, pool_closed, pool_removed | pool |
// | pool_terminated | pool, [cause] |
//
// | member | value |
// |---|---|
// | job | the job's number, from 1 |
// | map | the map's number; jobs and maps are numbered together. Of a job: that it is a chunk of |
// |     | this map, with |
// | first, count | the index of its first item, and how many it has, from 1; its args are they |
// | chunk_size | items of a chunk at most; 0 in a map without items |
// | star | true: each item is an array of arguments; default: each is one argument |
// | total | how many items the map has; default: nobody knew |
// | input_error | why items are missing: {"code":…,"message":…} |
// | id | the job's id, a string |
// | task, pool | names |
// | at, retry_at, created_at | milliseconds since 1970-01-01T00:00:00Z |
// | args, kwargs, result | the JSON text as it came, minified, spliced in |
// | content_type | the media type of a result that is bytes: the result is their base64 |
// | timeout_ms | the bound on one attempt; default: none |
// | attempts_max | default: 1. Written as 1 when options were given that are all defaults |
// | on_interrupt | "requeue" (default) or "fail" |
// | tags | an array of strings; default: empty |
// | idempotency_key | a string; default: none |
// | encoding | "json" (default) or "pickle": an object {"pickle":"…"} in args, kwargs and result |
// |          | is then base64 of what nobody here opens |
// | main | the path of the script that the task is in; default: none |
// | attempt | the attempt's number, from 1 |
// | reason | "not_started", "interrupted" or "shutdown" |
// | error | {"code":…,"type":…,"message":…,["traceback":…],["args":[…]],["module":…], |
// |       | ["pickle":…],["exitcode":…],"attempt":…,["item":…],["values":[…]]}; args is an array |
// |       | of any values, pickle base64; of a chunk item is the index of the item in it that |
// |       | failed, and values are those before it |
// | cancelled | true |
// | template | the name of the configured pool whose kind of worker a created one has |
// | processes | how many workers it keeps, from 1 |
// | calls_max | calls after which a worker is replaced, from 1; default: never |
// | start_method | how workers are started; default: as those of the template |
// | initializer, initargs | what each worker runs first, and the array that it is called with; |
// |                       | default: nothing, and [] |
// | allow_pickle | true: values may travel as pickle; default: not |
// | idle_timeout_ms | how long no request may name the pool until it is ended; default: for ever |
// | cause | why a pool was terminated; default: somebody asked for it |
//
// A withdrawn job, or map with all its chunks, is one whose submission was refused after its record
// was made: the journal took nothing just then. Of a map also one whose client heard nothing since
// the service ended before all its items were there. Its id is none that was dropped.
//
// Version 1 has no job_withdrawn; versions 1 and 2 have no "synced", no record of a map, no member
// of a chunk, no encoding, no main, and of an error no args, module, pickle, item and values, and
// no record of a pool. Nothing else is different.
//
// Members may come in any order; an unknown, repeated or missing one is damage. Reading a segment
// needs the header's version to be known: there is no skipping of what is not understood, since a
// record that is passed over leaves a state that never was.
//
// HOW TO CHANGE THE FORMAT
//
// 1. Raise `RecordCodec.version`. Version numbers cost nothing: never change what one means.
// 2. Keep reading the old version: `RecordDecoder` gets the version of the segment's header; give
//    each shape that changed (RecordShape.swift) one per version.
// 3. Change the tables above, the shape and `RecordEncoder`, in this order.
// 4. Add a folder written by the version before to the test's fixtures: it must be restored for
//    ever. A new segment is begun at the first start after the change, as recovery never appends
//    to a segment of another version.

internal import JobCore

/// What a line of a journal segment is made of. The format is specified at the top of this file.
enum RecordCodec {
  /// The version of the journal's format that is written.
  static let version = 3
  /// The versions that are read.
  static let versions = 1...version
  /// How many arrays and objects may lie within one another in a line: 64 in a payload, and those
  /// around it.
  static let depthMax = 72
  /// Bytes before the part of a line that the checksum covers.
  static let prefixBytes = 18
  /// Where the digits of the checksum begin.
  static let digitsOffset = 8
  /// What a line begins with, digits in place of the checksum's.
  static let prefix: StaticString = "{\"crc\":\"00000000\","

  /// Whether a line, given without its line feed, is whole: the 18 bytes are right and so is the
  /// checksum.
  static func isWhole(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
    guard line.count > prefixBytes, let digits = checksum(in: line) else { return false }
    let covered = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(line)[prefixBytes...])
    return Checksum(of: covered).value == digits
  }

  /// Calls `body` with each whole line that begins at any byte of `rest`, without its line feed,
  /// until it answers false. A line feed may be what is damaged, so every place that looks like a
  /// beginning is tried; behind the first that is one, the line holds no other.
  static func forEachWholeLine(
    in rest: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Bool
  ) {
    var start = 0
    // Without a line feed no line can be whole.
    while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
      let line = UnsafeBufferPointer(rebasing: rest[start..<end])
      start = end + 1
      guard let begin = wholeEnd(of: line) else { continue }
      if !body(UnsafeBufferPointer(rebasing: line[begin...])) { return }
    }
  }

  /// Where the first whole line begins that ends with `line`. Arguments of a job may look like any
  /// number of beginnings, so all of them together take one look at each byte.
  private static func wholeEnd(of line: UnsafeBufferPointer<UInt8>) -> Int? {
    if isWhole(line) { return 0 }
    let bytes = UnsafeRawBufferPointer(line)
    var beginnings: [(start: Int, before: Checksum, claimed: UInt32)] = []
    var checksum = Checksum()
    var added = 0
    func add(upTo end: Int) {
      checksum.update(UnsafeRawBufferPointer(rebasing: bytes[added..<end]))
      added = end
    }
    var start = 0
    while line.count - start > prefixBytes {
      if let claimed = self.checksum(in: UnsafeBufferPointer(rebasing: line[start...])) {
        add(upTo: start + prefixBytes)
        beginnings.append((start, checksum, claimed))
        start += prefixBytes
      } else {
        start += 1
      }
    }
    add(upTo: line.count)
    return beginnings.first { begin in
      let covered = line.count - begin.start - prefixBytes
      return checksum.ofLast(covered, before: begin.before).value == begin.claimed
    }?.start
  }

  /// The checksum that a line claims; nil when the 18 bytes are not as they must be.
  private static func checksum(in line: UnsafeBufferPointer<UInt8>) -> UInt32? {
    var value: UInt32 = 0
    return prefix.withUTF8Buffer { pattern in
      for index in 0..<digitsOffset where line[index] != pattern[index] { return nil }
      for index in digitsOffset..<digitsOffset + 8 {
        guard let digit = hexadecimal(line[index]) else { return nil }
        value = value << 4 | UInt32(digit)
      }
      for index in digitsOffset + 8..<prefixBytes where line[index] != pattern[index] {
        return nil
      }
      return value
    }
  }

  /// Writes the eight digits of a checksum.
  @inline(__always)
  static func write(_ checksum: UInt32, to target: UnsafeMutableRawPointer) {
    target.storeBytes(of: HexDigits.text(checksum).bigEndian, as: UInt64.self)
  }

  /// The value of a lower-case hexadecimal digit.
  @inline(__always)
  static func hexadecimal(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    default: nil
    }
  }
}
