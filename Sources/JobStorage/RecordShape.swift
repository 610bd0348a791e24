/// Every member that a record, or a job in a snapshot, may have; what each means is in the formats'
/// specifications, under its name.
enum Member: UInt8, CaseIterable {
  case job, id, task, pool, at, args
  case kwargs, timeout, attemptsMax, onInterrupt, tags, idempotencyKey, encoding, main
  case attempt, reason, error, retryAt, result, contentType, cancelled
  case state, version, losses, cancelRequested, startedAt, endedAt, dueAt
  case map, first, count, chunkSize, star, total, inputError, line
  case inputEndedAt, releasedChunks, releasedSucceeded, releasedFailed, releasedSkipped
  case template, processes, callsMax, startMethod, initializer, initargs, allowPickle, idleTimeout
  case cause, paused, stage, createdProcesses

  /// The name in the files.
  var name: String {
    switch self {
    case .job: "job"
    case .id: "id"
    case .task: "task"
    case .pool: "pool"
    case .at: "at"
    case .args: "args"
    case .kwargs: "kwargs"
    case .timeout: "timeout_ms"
    case .attemptsMax: "attempts_max"
    case .onInterrupt: "on_interrupt"
    case .tags: "tags"
    case .idempotencyKey: "idempotency_key"
    case .encoding: "encoding"
    case .main: "main"
    case .attempt: "attempt"
    case .reason: "reason"
    case .error: "error"
    case .retryAt: "retry_at"
    case .result: "result"
    case .contentType: "content_type"
    case .cancelled: "cancelled"
    case .state: "state"
    case .version: "version"
    case .losses: "losses"
    case .cancelRequested: "cancel_requested"
    case .startedAt: "started_at"
    case .endedAt: "ended_at"
    case .dueAt: "due_at"
    case .map: "map"
    case .first: "first"
    case .count: "count"
    case .chunkSize: "chunk_size"
    case .star: "star"
    case .total: "total"
    case .inputError: "input_error"
    case .line: "line"
    case .inputEndedAt: "input_ended_at"
    case .releasedChunks: "released_chunks"
    case .releasedSucceeded: "released_succeeded"
    case .releasedFailed: "released_failed"
    case .releasedSkipped: "released_skipped"
    case .template: "template"
    case .processes: "processes"
    case .callsMax: "calls_max"
    case .startMethod: "start_method"
    case .initializer: "initializer"
    case .initargs: "initargs"
    case .allowPickle: "allow_pickle"
    case .idleTimeout: "idle_timeout_ms"
    case .cause: "cause"
    case .paused: "paused"
    case .stage: "stage"
    case .createdProcesses: "created_processes"
    }
  }
}

/// A set of members.
struct MemberSet: OptionSet, Sendable {
  let rawValue: UInt64

  init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Of one member.
  init(_ member: Member) {
    self.init(rawValue: 1 << UInt64(member.rawValue))
  }

  /// Of these members.
  init(_ members: [Member]) {
    self = members.reduce(into: []) { $0.formUnion(MemberSet($1)) }
  }

  /// The ways in which a job ends.
  static let result = MemberSet(.result)
  /// See `result`.
  static let error = MemberSet(.error)
  /// See `result`.
  static let cancelled = MemberSet(.cancelled)

  /// Whether `member` is in it.
  func contains(_ member: Member) -> Bool {
    rawValue & 1 << UInt64(member.rawValue) != 0
  }

  /// The members' names, for people.
  var names: String {
    Member.allCases.filter { contains($0) }.map { "\"\($0.name)\"" }.joined(separator: ", ")
  }
}

/// Which members an object has: the tables of the formats' specifications, as data.
struct RecordShape: Sendable {
  /// The objects that have a shape.
  enum Kind: Sendable {
    case jobSubmitted, attemptStarted, attemptRevoked, attemptFailed, jobQueued, cancelRequested
    case jobEnded, jobForgotten, jobWithdrawn, snapshotJob
    case mapCreated, mapInputEnded, mapCancelRequested, chunkReleased, mapForgotten, mapWithdrawn
    case snapshotMap
    case poolCreated, poolResized, poolPaused, poolResumed, poolClosed, poolTerminated, poolRemoved
    case snapshotPool
  }

  /// What the object is.
  let kind: Kind
  /// What the object is called: for a record, the name of its member in the line.
  let name: String
  /// All that it may have, in the order in which they are written: a reader that looks for each
  /// name behind the last one finds it at once.
  let members: [Member]
  /// Their names, to compare with.
  let names: [String]
  /// Those that it must have.
  let required: MemberSet

  private init(
    _ kind: Kind, _ name: String, _ members: [Member], required: [Member]? = nil
  ) {
    self.kind = kind
    self.name = name
    self.members = members
    names = members.map(\.name)
    self.required = MemberSet(required ?? members)
  }

  private static let submission: [Member] = [.job, .id, .task, .pool, .at, .args]
  private static let optionMembersVersion2: [Member] = [
    .kwargs, .timeout, .attemptsMax, .onInterrupt, .tags, .idempotencyKey,
  ]
  private static let optionMembers = optionMembersVersion2 + [.encoding, .main]
  /// The members of which one is enough for a submission to have options.
  static let options = MemberSet(optionMembers)
  private static let chunkMembers: [Member] = [.map, .first, .count]
  /// What tells where a chunk's items stand: all of them, or none.
  static let chunk = MemberSet(chunkMembers)

  /// See the specification in `RecordCodec.swift`.
  static let jobSubmitted = RecordShape(
    .jobSubmitted, "job_submitted", submission + optionMembers + chunkMembers,
    required: submission)
  /// The same in versions 1 and 2.
  static let jobSubmittedVersion2 = RecordShape(
    .jobSubmitted, "job_submitted", submission + optionMembersVersion2, required: submission)
  /// See the specification in `RecordCodec.swift`.
  static let attemptStarted = RecordShape(
    .attemptStarted, "attempt_started", [.job, .attempt, .at])
  /// See the specification in `RecordCodec.swift`.
  static let attemptRevoked = RecordShape(.attemptRevoked, "attempt_revoked", [.job, .reason])
  /// See the specification in `RecordCodec.swift`.
  static let attemptFailed = RecordShape(
    .attemptFailed, "attempt_failed", [.job, .error, .retryAt])
  /// See the specification in `RecordCodec.swift`.
  static let jobQueued = RecordShape(.jobQueued, "job_queued", [.job])
  /// See the specification in `RecordCodec.swift`.
  static let cancelRequested = RecordShape(.cancelRequested, "cancel_requested", [.job])
  /// See the specification in `RecordCodec.swift`.
  static let jobEnded = RecordShape(
    .jobEnded, "job_ended", [.job, .at, .result, .contentType, .error, .cancelled],
    required: [.job, .at])
  /// See the specification in `RecordCodec.swift`.
  static let jobForgotten = RecordShape(.jobForgotten, "job_forgotten", [.job])
  /// See the specification in `RecordCodec.swift`.
  static let jobWithdrawn = RecordShape(.jobWithdrawn, "job_withdrawn", [.job])
  private static let mapMembers: [Member] = [.map, .id, .task, .pool, .at, .chunkSize]
  /// See the specification in `RecordCodec.swift`.
  static let mapCreated = RecordShape(
    .mapCreated, "map_created", mapMembers + [.star, .total] + optionMembers, required: mapMembers)
  /// See the specification in `RecordCodec.swift`.
  static let mapInputEnded = RecordShape(
    .mapInputEnded, "map_input_ended", [.map, .at, .inputError], required: [.map, .at])
  /// See the specification in `RecordCodec.swift`.
  static let mapCancelRequested = RecordShape(
    .mapCancelRequested, "map_cancel_requested", [.map])
  /// See the specification in `RecordCodec.swift`.
  static let chunkReleased = RecordShape(.chunkReleased, "chunk_released", [.job])
  /// See the specification in `RecordCodec.swift`.
  static let mapForgotten = RecordShape(.mapForgotten, "map_forgotten", [.map])
  /// See the specification in `RecordCodec.swift`.
  static let mapWithdrawn = RecordShape(.mapWithdrawn, "map_withdrawn", [.map])
  private static let poolMembers: [Member] = [.pool, .at, .template, .processes]
  private static let poolOptionMembers: [Member] = [
    .callsMax, .startMethod, .initializer, .initargs, .main, .allowPickle, .idleTimeout,
    .idempotencyKey,
  ]
  /// See the specification in `RecordCodec.swift`.
  static let poolCreated = RecordShape(
    .poolCreated, "pool_created", poolMembers + poolOptionMembers, required: poolMembers)
  /// See the specification in `RecordCodec.swift`.
  static let poolResized = RecordShape(.poolResized, "pool_resized", [.pool, .processes])
  /// See the specification in `RecordCodec.swift`.
  static let poolPaused = RecordShape(.poolPaused, "pool_paused", [.pool])
  /// See the specification in `RecordCodec.swift`.
  static let poolResumed = RecordShape(.poolResumed, "pool_resumed", [.pool])
  /// See the specification in `RecordCodec.swift`.
  static let poolClosed = RecordShape(.poolClosed, "pool_closed", [.pool])
  /// See the specification in `RecordCodec.swift`.
  static let poolTerminated = RecordShape(
    .poolTerminated, "pool_terminated", [.pool, .cause], required: [.pool])
  /// See the specification in `RecordCodec.swift`.
  static let poolRemoved = RecordShape(.poolRemoved, "pool_removed", [.pool])
  /// See the specification in `SnapshotCodec.swift`.
  static let snapshotPool = RecordShape(
    .snapshotPool, "pool",
    poolMembers + poolOptionMembers + [.paused, .stage, .cause, .createdProcesses, .first],
    required: poolMembers)
  private static let progressMembers: [Member] = [
    .state, .version, .attempt, .losses, .cancelRequested, .startedAt, .endedAt, .dueAt,
    .result, .contentType, .error,
  ]
  /// See the specification in `SnapshotCodec.swift`.
  static let snapshotJob = RecordShape(
    .snapshotJob, "job", submission + optionMembers + chunkMembers + progressMembers + [.line],
    required: submission + [.state, .version])
  /// The same with the members of versions 1 and 2 of the journal.
  static let snapshotJobVersion2 = RecordShape(
    .snapshotJob, "job", submission + optionMembersVersion2 + progressMembers,
    required: submission + [.state, .version])
  /// See the specification in `SnapshotCodec.swift`.
  static let snapshotMap = RecordShape(
    .snapshotMap, "map",
    mapMembers + [.star, .total] + optionMembers + [
      .version, .cancelRequested, .inputEndedAt, .inputError, .endedAt, .releasedChunks,
      .releasedSucceeded, .releasedFailed, .releasedSkipped, .error, .first,
    ],
    required: mapMembers + [.version])

  /// The shape of a job in a snapshot with the members of a version of the journal's format.
  static func snapshotJob(version: Int) -> RecordShape {
    version >= 3 ? snapshotJob : snapshotJobVersion2
  }

  /// The shape of a record by its name in a version of the journal's format; nil when there is no
  /// such record.
  static func record(named name: String, version: Int) -> RecordShape? {
    switch name {
    case "job_submitted": version >= 3 ? jobSubmitted : jobSubmittedVersion2
    case "attempt_started": attemptStarted
    case "job_ended": jobEnded
    case "job_forgotten": jobForgotten
    case "attempt_revoked": attemptRevoked
    case "attempt_failed": attemptFailed
    case "job_queued": jobQueued
    case "cancel_requested": cancelRequested
    case "job_withdrawn": version >= 2 ? jobWithdrawn : nil
    case "map_created" where version >= 3: mapCreated
    case "map_input_ended" where version >= 3: mapInputEnded
    case "map_cancel_requested" where version >= 3: mapCancelRequested
    case "chunk_released" where version >= 3: chunkReleased
    case "map_forgotten" where version >= 3: mapForgotten
    case "map_withdrawn" where version >= 3: mapWithdrawn
    default: version >= 3 ? poolRecord(named: name) : nil
    }
  }

  private static func poolRecord(named name: String) -> RecordShape? {
    [poolCreated, poolResized, poolPaused, poolResumed, poolClosed, poolTerminated, poolRemoved]
      .first { $0.name == name }
  }
}
