import JobCore

@testable import JobStorage

/// What version 3 of the journal's format has more: values of Python, and maps.
extension FormatFixtureTests {
  private static let options = JobOptions(
    kwargs: #"{"n":{"pickle":"gARLAS4="}}"#, timeout: 1_500, attemptsMax: 2, onInterrupt: .fail,
    tags: ["nightly"], idempotencyKey: "order-18", encoding: .pickle, main: "/srv/café \"1\".py")

  private static let error = JobError(
    code: .raised, type: "ValueError", message: "line 1\nline 2", traceback: "at f()",
    args: #"["é",{"pickle":"gARLAS4="}]"#, module: "builtins", pickle: "gARLAS4=", attempt: 1)

  private static let chunkError = JobError(
    code: .raised, type: "ValueError", message: "no", attempt: 1, item: 1, values: #"[{"a":1}]"#)

  /// What the folder's snapshot holds as well.
  static let version3InSnapshot: [Record] = [
    .jobSubmitted(
      JobSubmitted(
        number: 8, id: JobID("job-8")!, task: "__main__:f", pool: "python",
        args: #"[{"pickle":"gARLAS4="}]"#, options: options, at: 1_767_225_602_000)),
    .attemptStarted(8, attempt: 1, at: 1_767_225_602_010),
    .attemptFailed(8, error, retryAt: 1_767_225_603_000),
    // A document that has ended.
    map(
      9, "map-9", isStar: true, chunkSize: 2, total: 3,
      JobOptions(
        timeout: 1_500, attemptsMax: 2, onInterrupt: .fail, tags: ["nightly"],
        idempotencyKey: "map-17", encoding: .pickle, main: "/srv/café.py")),
    chunk(10, of: 9, first: 0, count: 2),
    chunk(11, of: 9, first: 2, count: 1),
    .mapInputEnded(9, nil, at: 1_767_225_602_020),
    .attemptStarted(11, attempt: 1, at: 1_767_225_602_030),
    .attemptStarted(10, attempt: 1, at: 1_767_225_602_040),
    .jobEnded(11, .succeeded("[9]"), at: 1_767_225_602_050),
    .jobEnded(10, .failed(chunkError), at: 1_767_225_602_060),
    // Items that come, and of which some results are released.
    map(12, "map-12", chunkSize: 1_000, total: nil),
    chunk(13, of: 12, first: 0, count: 3),
    .attemptStarted(13, attempt: 1, at: 1_767_225_602_070),
    .jobEnded(13, .failed(chunkError), at: 1_767_225_602_080),
    .chunkReleased(13),
    chunk(14, of: 12, first: 3, count: 1),
    chunk(15, of: 12, first: 4, count: 2),
    .attemptStarted(15, attempt: 1, at: 1_767_225_602_090),
    chunk(16, of: 12, first: 6, count: 1),
    .attemptStarted(16, attempt: 1, at: 1_767_225_602_100),
    .jobEnded(16, .succeeded("[1]"), at: 1_767_225_602_110),
    // One without items.
    map(17, "map-17", chunkSize: 0, total: 0),
    .mapInputEnded(17, nil, at: 1_767_225_602_120),
    // One that is being cancelled.
    map(18, "map-18", chunkSize: 1, total: nil),
    chunk(19, of: 18, first: 0, count: 1),
    .attemptStarted(19, attempt: 1, at: 1_767_225_602_130),
    .mapCancelRequested(18),
    .mapInputEnded(18, InputError(.cancelled, "line 1\nline 2"), at: 1_767_225_602_140),
    .cancelRequested(19),
    .poolCreated(pool, at: 1_767_225_603_000),
    .poolResized("mine", processes: 5),
    .poolPaused("mine"),
    .poolCreated(plainPool("closed"), at: 1_767_225_603_010),
    .poolClosed("closed"),
    .poolCreated(plainPool("ended"), at: 1_767_225_603_020),
    .poolTerminated("ended", cause: "pool_abandoned: é"),
    .poolCreated(plainPool("plain"), at: 1_767_225_603_030),
    .poolCreated(plainPool("gone"), at: 1_767_225_603_040),
    .poolTerminated("gone", cause: nil),
    .poolRemoved("gone"),
  ]

  private static let pool = PoolSpecification(
    name: "mine", template: "tâche", processes: 3, callsPerWorkerMax: 10, startMethod: "spawn",
    initializer: "module:begin", initializerArguments: #"[1,{"pickle":"gARLAS4="}]"#,
    main: "/srv/café.py", allowsPickle: true, idleTimeout: 1_500, idempotencyKey: "pool-17")

  private static func plainPool(_ name: String) -> PoolSpecification {
    PoolSpecification(name: name, template: "default", processes: 1)
  }

  /// All of it.
  static let version3: [Record] =
    version3InSnapshot + [
      .jobQueued(8),
      .jobEnded(19, .cancelled, at: 1_767_225_602_150),
      .mapForgotten(9),
      .jobEnded(15, .succeeded("[16,25]"), at: 1_767_225_602_160),
      .chunkReleased(15),
      .mapInputEnded(12, InputError(.brokenOff, "é"), at: 1_767_225_602_170),
      .jobEnded(14, .cancelled, at: 1_767_225_602_180),
      // One that is withdrawn, so that another can have its id.
      map(20, "map-20", chunkSize: 1, total: 2),
      chunk(21, of: 20, first: 0, count: 1),
      .mapWithdrawn(20),
      map(22, "map-20", chunkSize: 1, total: 1),
      chunk(23, of: 22, first: 0, count: 1),
      .mapInputEnded(22, nil, at: 1_767_225_602_190),
      .mapCancelRequested(22),
      .poolResumed("mine"),
      .poolRemoved("ended"),
      .poolTerminated("closed", cause: nil),
      .poolCreated(plainPool("gone"), at: 1_767_225_603_050),
    ]

  private static func map(
    _ number: MapNumber, _ id: String, isStar: Bool = false, chunkSize: Int, total: Int?,
    _ options: JobOptions? = nil
  ) -> Record {
    .mapCreated(
      MapCreated(
        number: number, id: JobID(id)!, task: "tâche", pool: "default", isStar: isStar,
        chunkSize: chunkSize, total: total, options: options,
        at: 1_767_225_602_000 + Timestamp(number)))
  }

  private static func chunk(
    _ number: JobNumber, of map: MapNumber, first: Int, count: Int
  ) -> Record {
    let items = (first..<first + count).map { "\($0)" }.joined(separator: ",")
    return .jobSubmitted(
      JobSubmitted(
        number: number, id: JobID("chunk-\(number)")!, task: "tâche", pool: "default",
        args: "[\(items)]",
        options: JobOptions(
          timeout: 1_500, encoding: map == 9 ? .pickle : .json,
          chunk: ChunkPlace(map: map, first: first, count: count)),
        at: 1_767_225_602_000 + Timestamp(number)))
  }
}
