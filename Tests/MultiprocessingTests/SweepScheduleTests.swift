import Testing

@testable import Multiprocessing

/// A schedule whose sweepers are played by the test.
private final class PlayedSweeps {
  var schedule = SweepSchedule()

  func begin(at now: UInt64) -> Bool { schedule.begin(at: now) }
}

@Suite struct SweepScheduleTests {
  @Test func `one sweeper removes what comes together`() {
    let sweeps = PlayedSweeps()
    #expect(
      !sweeps.begin(at: 0) && sweeps.schedule.nextDeadline == nil && !sweeps.schedule.isPending)
    sweeps.schedule.leftoverFound()
    #expect(sweeps.begin(at: 1000))
    sweeps.schedule.leftoverFound()
    #expect(!sweeps.begin(at: 1001) && sweeps.schedule.nextDeadline == nil)
    sweeps.schedule.ended(hasFailed: false, at: 2000)
    #expect(sweeps.schedule.isPending)
    #expect(sweeps.schedule.nextDeadline == 1000 + SweepSchedule.pauseMin)
    #expect(!sweeps.begin(at: 2000))
    #expect(sweeps.begin(at: 1000 + SweepSchedule.pauseMin))
    sweeps.schedule.ended(hasFailed: false, at: 3000 + SweepSchedule.pauseMin)
    #expect(!sweeps.schedule.isPending && sweeps.schedule.nextDeadline == nil)
  }

  @Test func `what cannot be removed is tried ever more rarely, and then left`() {
    let sweeps = PlayedSweeps()
    sweeps.schedule.leftoverFound()
    var time: UInt64 = 0
    var pauses: [UInt64] = []
    while sweeps.schedule.isPending && pauses.count < 100 {
      #expect(sweeps.begin(at: time))
      sweeps.schedule.ended(hasFailed: true, at: time)
      guard let next = sweeps.schedule.nextDeadline else { break }
      pauses.append(next - time)
      time = next
    }
    #expect(pauses.count == SweepSchedule.failuresMax - 1)
    #expect(pauses == pauses.sorted() && pauses.last == SweepSchedule.pauseMax)
    sweeps.schedule.leftoverFound()
    #expect(sweeps.begin(at: time + SweepSchedule.pauseMin))
  }
}
