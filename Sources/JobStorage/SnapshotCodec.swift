// THE FORMAT OF A SNAPSHOT, VERSION 2
//
// `snapshot-<seq>.json` is one JSON document in UTF-8, minified but for its line feeds, which stand
// exactly as shown: a reader goes line by line and builds no tree.
//
//   {"snapshot":2,"seq":19,"created_at":1767225660000,"next_number":6,
//   "forgotten":["00f067aa0ba902b7","4bf92f3577b34da6"],
//   "jobs":[
//   {"pool":"mine",…},
//   {"job":4,…},
//   {"map":1,…},
//   {"job":5,…}
//   ],"count":4,"crc":"1a2b3c4d"}
//
// | member | value |
// |---|---|
// | snapshot | the version of the format |
// | seq | the sequence number of the last record that the state holds |
// | created_at | when it was begun, in milliseconds since 1970-01-01T00:00:00Z |
// | next_number | the number that the next submitted job gets |
// | forgotten | hashes of dropped ids (`JobID.stableHash`), oldest first: 16 lower-case |
// |           | hexadecimal digits, as a 64-bit integer is more than most JSON readers take |
// | jobs | the pools that clients created, in the order in which they did; then |
// |      | the finished jobs and maps in the order in which they finished, then the other maps by |
// |      | number, then the other jobs by number; a map is followed by those of its chunks that |
// |      | have ended, in the order in which they did |
// | count | how many jobs, maps and pools there are |
// | crc | CRC-32C of every byte of the file before its eight digits |
//
// A job has the members of a job_submitted record (`RecordCodec.swift`), then, those in [brackets]
// left out when 0 or false:
//
//   state, version, [attempt], [losses], [cancel_requested], [started_at],
//   [ended_at] of a final job or [due_at] of another, [result [content_type] or error],
//   line of an ended chunk: how many items of its map had ended before it
//
// `attempt` is the attempt that runs or ran last; `due_at` is the moment that a scheduled job waits
// for; `error` of a job that is not final is how its last attempt failed.
//
// A map has the members of a map_created record, then, those in [brackets] left out when 0 or
// false:
//
//   version, [cancel_requested], [input_ended_at], [input_error], [ended_at],
//   [released_chunks], [released_succeeded], [released_failed], [released_skipped],
//   [error, first]
//
// where `released_…` count the chunks that were released, and their items; `error` is that of the
// chunk that failed first, and `first` the index of that one's first item, if it was released. What
// else is known of a map follows from its chunks. Version 1 has the members of version 2 of the
// journal, no maps and no pools.
//
// A pool has the members of a pool_created record, with `processes` as it is by now, then, those in
// [brackets] left out when false, none, or 1:
//
//   [paused], [stage] of one that is not running: "closing" or "terminating", [cause],
//   [created_processes]: what `processes` of its record is, if that is another number,
//   [first]: the number that a job or a map had next when it was created
//
// The last line is the same in all versions, to come as well: whether a file is damaged is known
// before its version.
//
// The recipe for a change is the one in `RecordCodec.swift`; the versions are counted apart.

internal import JSON
internal import JobCore

/// The words of a snapshot that its writer and reader share. The format is specified at the top of
/// this file.
enum SnapshotCodec {
  /// The version of the snapshot's format that is written.
  static let version = 2
  /// The versions that are read.
  static let versions = 1...version

  /// The version of the journal whose members the rows of a version of the snapshot have.
  static func journalVersion(of version: Int) -> Int { version == 1 ? 2 : 3 }

  /// The line before the first job.
  static let jobsOpening: StaticString = "\"jobs\":[\n"
  /// What the second line begins with.
  static let forgottenOpening: StaticString = "\"forgotten\":["
  /// What the last line begins with.
  static let countOpening: StaticString = "],\"count\":"
  /// What stands between the count and the digits of the checksum.
  static let checksumOpening: StaticString = ",\"crc\":\""
  /// What stands after those digits.
  static let ending: StaticString = "\"}\n"
}

extension StaticString {
  /// Its bytes.
  var bytes: UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
  }
}
