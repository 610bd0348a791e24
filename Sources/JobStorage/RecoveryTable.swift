/// What recovery decides, as data: one row per case, each case in exactly one row (a test walks
/// them all). The rule behind the rows: never start with a hole. What was acknowledged is there, or
/// the service does not start and says which file and line is to blame.
enum RecoveryTable {
  /// What reading a state to begin with came to. The empty state is always whole.
  enum Content: CaseIterable {
    /// Every byte is as it was written.
    case whole
    /// Some are not.
    case damaged
    /// It says that it is of a version that this program does not know.
    case unknownVersion
  }

  /// Whether the segments go on from that state: one begins, or was begun, with the record after
  /// it, even if that is still to be written.
  enum Reach: CaseIterable {
    /// One does.
    case covered
    /// None does.
    case missing
  }

  /// Whether a newer snapshot was passed over.
  enum Rank: CaseIterable {
    /// None was.
    case newest
    /// At least one was, for its damage.
    case fallback
  }

  /// What to do about a state to begin with.
  enum StartDecision: Equatable {
    /// Begin with it.
    case use
    /// Note it and go on to the one before.
    case tryOlder
    /// Do not start.
    case refuse(StorageError.Code)
  }

  /// Which state to begin with: the newest snapshot, then the older ones, then the empty state.
  /// nil stands for any.
  static let starts: [(Content, Reach?, Rank?, StartDecision)] = [
    // It was written by a newer service: an older snapshot would only hide that.
    (.unknownVersion, nil, nil, .refuse(.unknownVersion)),
    // The one before is kept, and the segments since, for this.
    (.damaged, nil, nil, .tryOlder),
    (.whole, .covered, nil, .use),
    // Records are gone, though every file that is there is whole.
    (.whole, .missing, .newest, .refuse(.gap)),
    // The damaged snapshot is to blame, not this one.
    (.whole, .missing, .fallback, .refuse(.damaged)),
  ]

  /// What is wrong with a line of a segment, the first wrong one.
  enum LineFault: CaseIterable {
    /// The first line does not say what the file is, or says another one.
    case header
    /// The first line is of a version that this program does not know.
    case version
    /// Its end, or a part of it, never came to the disk (`Wholeness`).
    case torn
    /// It was written whole, and is not what was written any more.
    case altered
    /// The checksum is right and the sequence number is not the next.
    case sequence
    /// The checksum is right and the content cannot be read.
    case content
    /// The record does not fit the state that it meets.
    case misfit
  }

  /// Whether records may still be written to the segment: it is the last.
  enum Place: CaseIterable {
    /// It is the last one.
    case live
    /// It was synced, and another was begun.
    case sealed
  }

  /// What follows the wrong line.
  enum Rest: CaseIterable {
    /// Nothing that was once written whole.
    case nothing
    /// Lines with right checksums, none of which tells that the wrong one was on the disk.
    case wholeLines
    /// One of them tells just that, or is of a version that does not tell, or cannot be read.
    case synced
  }

  /// What to do about a wrong line.
  enum LineDecision: Equatable {
    /// Cut the file before it and go on, with a note.
    case dropTail
    /// Do not start.
    case refuse(StorageError.Code)
  }

  /// What to do about the first wrong line of a segment. nil stands for any.
  static let lines: [(LineFault, Place?, Rest?, LineDecision)] = [
    // A segment has its name only once its first line is on the disk.
    (.header, nil, nil, .refuse(.damaged)),
    (.version, nil, nil, .refuse(.unknownVersion)),
    // The one damage that is to be expected: the write was cut off, by the end of the process
    // before anybody was told of it, or by a loss of power before it was said to be on the disk.
    (.torn, .live, .nothing, .dropTail),
    // A loss of power as well: a disk need not write the pages of a file in their order.
    (.torn, .live, .wholeLines, .dropTail),
    // It was on the disk, and was said to be.
    (.torn, .live, .synced, .refuse(.damaged)),
    // A segment is synced before the next one is begun.
    (.torn, .sealed, nil, .refuse(.damaged)),
    // No crash does that, and whoever sent it may have been told that it was taken.
    (.altered, nil, nil, .refuse(.damaged)),
    (.sequence, nil, nil, .refuse(.gap)),
    (.content, nil, nil, .refuse(.damaged)),
    (.misfit, nil, nil, .refuse(.damaged)),
  ]

  /// Looks a state up.
  static func decision(_ content: Content, _ reach: Reach, _ rank: Rank) -> StartDecision {
    for row in starts
    where row.0 == content && row.1 ?? reach == reach && row.2 ?? rank == rank {
      return row.3
    }
    preconditionFailure("no row for \(content), \(reach), \(rank)")
  }

  /// Looks a wrong line up.
  static func decision(_ fault: LineFault, _ place: Place, _ rest: Rest) -> LineDecision {
    for row in lines
    where row.0 == fault && row.1 ?? place == place && row.2 ?? rest == rest {
      return row.3
    }
    preconditionFailure("no row for \(fault), \(place), \(rest)")
  }

  // MARK: Segments that were begun

  /// What a begun segment holds. While the segment before it is being synced, the live one has the
  /// name `….jsonl.begun`, and nothing in it is promised to survive a loss of power.
  enum Begun: CaseIterable {
    /// No record was written to it.
    case nothing
    /// The first thing that is wrong with it was cut off, and no whole record is before that, nor
    /// behind it one that tells that it was on the disk.
    case cutOff
    /// Records, from the first line on.
    case records
    /// The same, and records are missing before it of which one of them tells that they were on
    /// the disk.
    case told
    /// Lines that are not what was written, or a whole one behind such a line that tells that it
    /// was on the disk.
    case damaged
  }

  /// How its first record stands to the journal before it.
  enum Joint: CaseIterable {
    /// It is the next.
    case follows
    /// Records are missing between the two.
    case beyond
    /// The journal holds it already.
    case behind
  }

  /// What to do about a begun segment.
  enum BegunDecision: Equatable {
    /// It is the live one.
    case goOn
    /// It is not part of the journal, and is removed at the start.
    case leaveOut
    /// Do not start.
    case refuse(StorageError.Code)
  }

  /// What to do about each begun segment, from the oldest on. nil stands for any.
  static let begun: [(Begun, Joint?, BegunDecision)] = [
    // The service ended, or ran out of disk, when it had begun it.
    (.nothing, nil, .leaveOut),
    // In the midst of its first write; a synced segment, whatever its name, has whole records.
    (.cutOff, nil, .leaveOut),
    // A death of the process loses nothing that was written.
    (.records, .follows, .goOn),
    // Only a loss of power takes the end of the segment before it; then none of these records was
    // said to be on the disk either, as its syncs begin when those of the one before have ended.
    (.records, .beyond, .leaveOut),
    // It was not the power.
    (.told, nil, .refuse(.damaged)),
    (.damaged, .beyond, .leaveOut),
    (.damaged, .follows, .refuse(.damaged)),
    // Nothing is appended to a segment once the next one was begun.
    (.records, .behind, .refuse(.damaged)),
    (.damaged, .behind, .refuse(.damaged)),
  ]

  // MARK: Segments that nothing leads to

  /// Why not to start when the segment after the state to begin with was only begun and others have
  /// their names behind it, by how the first of them stands to the end of what was read. A segment
  /// gets its name when the names of those before it are on the disk, so no crash leaves this.
  static let unread: [(Joint, StorageError.Code)] = [
    // Records are missing between the two.
    (.beyond, .gap),
    // None are, but nobody has written it so.
    (.follows, .damaged),
    (.behind, .damaged),
  ]

  /// Looks up a segment that was not read.
  static func decision(unread joint: Joint) -> StorageError.Code {
    for row in unread where row.0 == joint { return row.1 }
    preconditionFailure("no row for \(joint)")
  }

  /// Looks a begun segment up.
  static func decision(_ content: Begun, _ joint: Joint) -> BegunDecision {
    for row in begun where row.0 == content && row.1 ?? joint == joint {
      return row.2
    }
    preconditionFailure("no row for \(content), \(joint)")
  }
}
