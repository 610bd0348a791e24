import JobCore

@testable import JobServer

/// Engines that hold jobs as a test wants them.
enum Jobs {
  static let moment = Moment(instant: Instant(nanoseconds: 5_000_000_000), timestamp: 10_000)

  /// An engine over one job, restored as a snapshot would have it.
  static func engine(
    _ state: JobState, args: String = "[7]", options: JobOptions? = nil,
    _ change: (inout RestoredJob) -> Void = { _ in }
  ) -> (engine: Engine, job: Job) {
    var restored = RestoredJob(
      submitted: JobSubmitted(
        number: 1, id: JobID("one")!, task: "square", pool: "default", args: args,
        options: options, at: 1_000), state: state)
    change(&restored)
    var store = JobStore()
    store.restore(nextNumber: 2, forgotten: [])
    store.restore(restored)
    let engine = Engine(store: store, pools: ["default"], limits: Limits(), seed: 1)
    return (engine, engine.store[1]!)
  }

  /// An engine whose one worker (pid 77) runs a job.
  static func running() -> (engine: Engine, job: Job) {
    var engine = Engine(store: JobStore(), pools: ["default"], limits: Limits(), seed: 1)
    var turn = Turn()
    engine.recover(at: moment, &turn)
    for event: Event in [
      .poolAnnounced(pool: PoolID(0), tasks: ["square"]),
      .slotReady(SlotID(pool: 0, index: 0), credit: 1, pid: 77),
      .submissionReceived(Submission(task: "square", id: JobID("one")), request: 1),
    ] { engine.handle(event, at: moment, &turn) }
    return (engine, engine.store[1]!)
  }
}
