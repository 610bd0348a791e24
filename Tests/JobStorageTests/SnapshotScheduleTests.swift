import JobCore
import JobStorage
import Testing

struct SnapshotScheduleTests {
  private let second: UInt64 = 1_000_000_000

  /// One decision: what has happened, and when the next snapshot is due, in seconds.
  struct Case: Sendable {
    var name: String
    /// Bytes appended before the first snapshot was begun, at 100 s; nil: none was begun.
    var first: Int?
    /// How long it took, in seconds; nil: it is being made.
    var took: UInt64?
    /// How much of that it had a CPU, in seconds; nil: all.
    var ran: UInt64?
    /// Its size.
    var size = 0
    /// Bytes appended since it was begun, or since the start at 0 s.
    var appended: Int
    /// The deadline in seconds since the start; nil: none.
    var due: UInt64?
  }

  @Test(arguments: [
    Case(name: "nothing was appended", appended: 0, due: nil),
    Case(name: "little was appended", appended: 1, due: 60),
    Case(name: "just as much as is little", appended: 16 << 20, due: 60),
    Case(name: "much was appended", appended: (16 << 20) + 1, due: 0),
    Case(name: "one is being made", first: 1, took: nil, appended: 1 << 30, due: nil),
    Case(name: "nothing since", first: 1, took: 1, size: 9, appended: 0, due: nil),
    Case(name: "little since a quick one", first: 1, took: 1, size: 9, appended: 1, due: 160),
    Case(name: "little since a slow one", first: 1, took: 5, size: 9, appended: 1, due: 205),
    Case(
      name: "much since one that yielded", first: 1, took: 10, ran: 2, size: 9,
      appended: 17 << 20, due: 150),
    Case(
      name: "much since one that waited for the disk", first: 1, took: 50, ran: 1, size: 9,
      appended: 17 << 20, due: 200),
    Case(name: "much since a quick one", first: 1, took: 1, size: 9, appended: 17 << 20, due: 121),
    Case(
      name: "less than half of a large one", first: 1, took: 1, size: 64 << 20,
      appended: 32 << 20, due: 160),
    Case(
      name: "more than half of a large one", first: 1, took: 1, size: 64 << 20,
      appended: (32 << 20) + 1, due: 121),
    Case(name: "much before, little since", first: 1 << 30, took: 1, appended: 1, due: 160),
  ])
  func `a snapshot is due by size, by time, and never too often`(row: Case) {
    var schedule = SnapshotSchedule(at: Instant(nanoseconds: 0))
    if let first = row.first {
      schedule.appended(bytes: first)
      schedule.begun(at: Instant(nanoseconds: 100 * second))
    }
    schedule.appended(bytes: row.appended)
    if let took = row.took {
      schedule.finished(
        bytes: row.size, used: (row.ran ?? took) * second,
        at: Instant(nanoseconds: (100 + took) * second))
    }
    #expect(schedule.nextDeadline == row.due.map { Instant(nanoseconds: $0 * second) })
    if let due = row.due {
      #expect(schedule.isDue(at: Instant(nanoseconds: due * second)))
      if due > 0 { #expect(!schedule.isDue(at: Instant(nanoseconds: due * second - 1))) }
    } else {
      #expect(!schedule.isDue(at: Instant(nanoseconds: .max)))
    }
  }

  @Test func `a failed snapshot leaves its records to the next, which waits`() {
    var schedule = SnapshotSchedule(at: Instant(nanoseconds: 0))
    schedule.appended(bytes: 17 << 20)
    schedule.begun(at: Instant(nanoseconds: 100 * second))
    schedule.appended(bytes: 5)
    schedule.failed(used: second, at: Instant(nanoseconds: 101 * second))
    #expect(schedule.journalBytes == (17 << 20) + 5)
    #expect(schedule.nextDeadline == Instant(nanoseconds: 160 * second))
  }

  @Test func `a failed snapshot that took CPU time rests for 20 times that`() {
    var schedule = SnapshotSchedule(at: Instant(nanoseconds: 0))
    schedule.appended(bytes: 17 << 20)
    schedule.begun(at: Instant(nanoseconds: 100 * second))
    schedule.failed(used: 4 * second, at: Instant(nanoseconds: 101 * second))
    #expect(schedule.nextDeadline == Instant(nanoseconds: 181 * second))
  }

  @Test func `what was replayed counts like what was appended`() {
    let schedule = SnapshotSchedule(
      journalBytes: 20 << 20, snapshotBytes: 1 << 20, at: Instant(nanoseconds: 7))
    #expect(schedule.isDue(at: Instant(nanoseconds: 7)))
  }
}
