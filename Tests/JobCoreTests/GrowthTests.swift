import Testing

@testable import JobCore

/// What a job costs must not depend on how many others are held.
@Suite(.serialized) struct GrowthTests {
  /// An engine with so many queued jobs and one busy slot.
  struct Loaded {
    var engine: Engine
    var turn = Turn()
    var call = CallID(rawValue: 0)
    let moment = Moment(instant: Instant(nanoseconds: 1), timestamp: 1)

    init(queued: Int, finished: Int = 0) {
      engine = Engine(store: JobStore(), pools: ["default"], limits: Limits(), seed: 1)
      engine.recover(at: moment, &turn)
      handle(.poolAnnounced(pool: PoolID(0), tasks: ["square"]))
      handle(.slotReady(SlotID(pool: 0, index: 0), credit: 1, pid: 1))
      for _ in 0...queued + finished { submit() }
      for _ in 0..<finished { finish() }
    }

    mutating func handle(_ event: Event) {
      turn.reset()
      engine.handle(event, at: moment, &turn)
      for effect in turn.effects {
        if case .dispatch(let dispatched, _) = effect { call = dispatched }
      }
    }

    mutating func submit() {
      handle(.submissionReceived(Submission(task: "square", args: "[7]"), request: 1))
    }

    mutating func finish() {
      handle(.callReturned(call, result: "49"))
    }

    /// The time of 100 rounds: a submission, the end of a call, the start of the next.
    mutating func round() -> Duration {
      ContinuousClock().measure {
        for _ in 0..<100 {
          submit()
          finish()
        }
      }
    }
  }

  static func median(_ durations: [Duration]) -> Duration {
    durations.sorted()[durations.count / 2]
  }

  /// Compares both in turns, so that another load of the machine hits both.
  static func ratio(_ small: Loaded, _ large: Loaded) -> Double {
    var small = small
    var large = large
    var times: (small: [Duration], large: [Duration]) = ([], [])
    for _ in 0..<31 {
      times.small.append(small.round())
      times.large.append(large.round())
    }
    return median(times.large) / median(times.small)
  }

  @Test func `a job costs the same with 1,000 and with 100,000 queued`() {
    let large = Loaded(queued: 100_000)
    #expect(large.engine.queuedCount(pool: 0) == 100_000)
    let ratio = GrowthTests.ratio(Loaded(queued: 1_000), large)
    #expect(ratio < 4)
  }

  @Test func `a job costs the same with 1,000 and with 50,000 finished`() {
    let large = Loaded(queued: 10, finished: 50_000)
    #expect(large.engine.store.finishedCount == 50_000)
    let ratio = GrowthTests.ratio(Loaded(queued: 10, finished: 1_000), large)
    #expect(ratio < 4)
  }

  @Test func `cancelling the youngest or the oldest of a long line costs the same`() {
    func time(_ queued: Int, youngestFirst: Bool) -> Duration {
      var loaded = Loaded(queued: queued)
      var durations: [Duration] = []
      for batch in 0..<queued / 200 {
        durations.append(
          ContinuousClock().measure {
            for step in 0..<100 {
              let position = JobNumber(batch * 100 + step)
              let number = youngestFirst ? JobNumber(queued) - position : 2 + position
              loaded.handle(.cancelReceived(number, grace: 0, request: 1))
            }
          })
      }
      // The mean, as one in many cancels clears the line of what is stale.
      return durations.reduce(.zero, +) / durations.count
    }
    for youngestFirst in [false, true] {
      let ratio =
        time(50_000, youngestFirst: youngestFirst) / time(1_000, youngestFirst: youngestFirst)
      #expect(ratio < 6, "\(youngestFirst)")
    }
  }
}
