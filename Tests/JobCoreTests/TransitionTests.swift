import Testing

@testable import JobCore

/// The table of moves, against the store that carries them out.
@Suite struct TransitionTests {
  /// What is expected, written out apart from `JobState.moves`: for each state, the moves that it
  /// allows and where they lead. What is absent is illegal.
  static let expected: [JobState: [Move: JobState]] = [
    .scheduled: [.jobQueued: .queued, .cancelled: .cancelled],
    .queued: [.attemptStarted: .running, .cancelled: .cancelled, .failed: .failed],
    .running: [
      .attemptRevoked: .queued, .attemptFailed: .scheduled, .cancelRequested: .running,
      .succeeded: .succeeded, .failed: .failed, .cancelled: .cancelled,
    ],
    .succeeded: [:], .failed: [:], .cancelled: [:],
  ]

  static let error = JobError(code: .raised, type: "E", message: "m", attempt: 1)

  /// A store with one job, number 1, in `state`.
  static func store(in state: JobState) throws -> JobStore {
    var store = JobStore()
    let submitted = JobSubmitted(
      number: 1, id: try #require(JobID("a")), task: "t", pool: "p", args: "[1]", options: nil,
      at: 5)
    try store.apply(.jobSubmitted(submitted))
    let path: [Move] =
      switch state {
      case .queued: []
      case .scheduled: [.attemptStarted, .attemptFailed]
      case .running: [.attemptStarted]
      case .succeeded: [.attemptStarted, .succeeded]
      case .failed: [.failed]
      case .cancelled: [.cancelled]
      }
    for move in path { try store.apply(record(of: move)) }
    return store
  }

  /// A record that makes `move` of job 1.
  static func record(of move: Move) -> Record {
    switch move {
    case .attemptStarted: .attemptStarted(1, attempt: 1, at: 10)
    case .attemptRevoked: .attemptRevoked(1, .notStarted)
    case .attemptFailed: .attemptFailed(1, error, retryAt: 99)
    case .jobQueued: .jobQueued(1)
    case .cancelRequested: .cancelRequested(1)
    case .succeeded: .jobEnded(1, .succeeded("1"), at: 20)
    case .failed: .jobEnded(1, .failed(error), at: 20)
    case .cancelled: .jobEnded(1, .cancelled, at: 20)
    }
  }

  @Test(arguments: JobState.allCases, Move.allCases)
  func `every move from every state is legal or a misfit that changes nothing`(
    from: JobState, move: Move
  ) throws {
    var store = try TransitionTests.store(in: from)
    let before = store
    let version = try #require(store[1]).version
    let record = TransitionTests.record(of: move)
    #expect(from.after(move) == TransitionTests.expected[from]?[move])
    if let to = TransitionTests.expected[from]?[move] {
      try store.apply(record)
      let job = try #require(store[1])
      #expect(job.state == to)
      #expect(job.version == version + 1)
      #expect(store.count(of: to) == 1)
      #expect(store.openCount == (to.isFinal ? 0 : 1))
      #expect(store.openBytes == (to.isFinal ? 0 : 3))
    } else {
      #expect(throws: JobStore.Misfit(record: record, found: from)) { try store.apply(record) }
      #expect(store == before)
      #expect(store[1] == before[1])
    }
  }

  @Test(arguments: JobState.allCases)
  func `only a final job can be forgotten`(state: JobState) throws {
    var store = try TransitionTests.store(in: state)
    let before = store
    if state.isFinal {
      try store.apply(.jobForgotten(1))
      #expect(store[1] == nil)
      #expect(store.count == 0)
      #expect(store.finishedBytes == 0)
      #expect(store.forgotten.contains(try #require(JobID("a")).stableHash))
    } else {
      #expect(throws: JobStore.Misfit(record: .jobForgotten(1), found: state)) {
        try store.apply(.jobForgotten(1))
      }
      #expect(store == before)
    }
  }

  @Test(arguments: JobState.allCases)
  func `only a job that is not final can be withdrawn, and leaves nothing`(
    state: JobState
  ) throws {
    var store = try TransitionTests.store(in: state)
    let before = store
    if state.isFinal {
      #expect(throws: JobStore.Misfit(record: .jobWithdrawn(1), found: state)) {
        try store.apply(.jobWithdrawn(1))
      }
      #expect(store == before)
    } else {
      try store.apply(.jobWithdrawn(1))
      let id = try #require(JobID("a"))
      #expect(store[1] == nil && store.number(of: id) == nil)
      #expect(store.count == 0 && store.openCount == 0 && store.openBytes == 0)
      #expect(store.nextNumber == 2 && store.forgotten == JobStore().forgotten)
    }
  }

  @Test(arguments: Move.allCases)
  func `a move of a job that is not held is a misfit`(move: Move) {
    var store = JobStore()
    let record = TransitionTests.record(of: move)
    #expect(throws: JobStore.Misfit(record: record, found: nil)) { try store.apply(record) }
    #expect(store == JobStore())
  }

  @Test func `final states are those that no move leaves`() {
    for state in JobState.allCases {
      #expect(state.isFinal == !JobState.moves.contains { $0.from == state })
    }
  }

  @Test func `a submission with a taken number, id or key is a misfit`() throws {
    var store = JobStore()
    func submitted(_ number: JobNumber, _ id: String, key: String) throws -> Record {
      .jobSubmitted(
        JobSubmitted(
          number: number, id: try #require(JobID(id)), task: "t", pool: "p", args: "[]",
          options: JobOptions(idempotencyKey: key), at: 1))
    }
    try store.apply(submitted(7, "a", key: "k"))
    let before = store
    let misfits = try [
      submitted(7, "b", key: "l"), submitted(6, "b", key: "l"), submitted(8, "a", key: "l"),
      submitted(8, "b", key: "k"),
    ]
    for record in misfits {
      #expect(throws: JobStore.Misfit(record: record, found: nil)) { try store.apply(record) }
      #expect(store == before)
    }
    try store.apply(submitted(8, "b", key: "l"))
    #expect(store.nextNumber == 9)
  }

  @Test func `a revoked attempt zero from a damaged journal ends nothing`() throws {
    var store = try TransitionTests.store(in: .queued)
    try store.apply(.attemptStarted(1, attempt: 0, at: 1))
    try store.apply(.attemptRevoked(1, .interrupted))
    #expect(store[1]?.attempt == 0)
    #expect(store[1]?.losses == 1)
  }

  @Test func `what each record leaves in the job`() throws {
    var store = try TransitionTests.store(in: .queued)
    try store.apply(.attemptStarted(1, attempt: 1, at: 10))
    #expect(store[1]?.attempt == 1)
    #expect(store[1]?.startedAt == 10)
    try store.apply(.attemptFailed(1, TransitionTests.error, retryAt: 99))
    #expect(store[1]?.runAt == 99)
    #expect(store[1]?.finishedAt == nil)
    #expect(store[1]?.ending == .error(TransitionTests.error))
    try store.apply(.jobQueued(1))
    #expect(store[1]?.runAt == nil)
    try store.apply(.attemptStarted(1, attempt: 2, at: 100))
    try store.apply(.attemptRevoked(1, .shutdown))
    #expect(store[1]?.attempt == 1)
    #expect(store[1]?.losses == 0)
    try store.apply(.attemptStarted(1, attempt: 2, at: 101))
    try store.apply(.attemptRevoked(1, .interrupted))
    #expect(store[1]?.losses == 1)
    try store.apply(.attemptStarted(1, attempt: 2, at: 102))
    try store.apply(.cancelRequested(1))
    #expect(store[1]?.isCancelRequested == true)
    try store.apply(.jobEnded(1, .cancelled, at: 103))
    #expect(store[1]?.isCancelRequested == false)
    #expect(store[1]?.ending == Job.Ending.none)
    #expect(store[1]?.finishedAt == 103)
    #expect(store[1]?.version == 11)
    #expect(store.finishedBytes == 3)
  }
}
