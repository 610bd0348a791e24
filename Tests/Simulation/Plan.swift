import JobCore
import JobStorage

@testable import JobServer

/// What a seed's history is like: its settings, and how likely each thing is that can happen. Some
/// things never happen in some histories, so that others come to the fore (swarm testing).
struct Plan {
  /// What one event of a history is.
  enum Action: Int, CaseIterable {
    case ask, askMuch, askForMap, askForPool, repeatSubmission, leave
    case passTime, passMuchTime, waitForDeadline, comeToRest
    case syncEnds, compact, failCall, failSync, fillDisk, makeRoom
    case dieAtCall, kill, losePower, drain
    case loseForkServer, refuseCompactor, failCompactor, breakPool, jumpClock, lookAround
  }

  var settings: Settings
  let segmentBytesMax: Int
  /// Whether retention drops jobs whenever it likes, as far as clients can know.
  let isRetentionTight: Bool
  let slots: [Int]
  let deedWeights: [Int]
  private let actionWeights: [Int]

  init(_ chance: Chance) {
    var settings = Settings()
    settings.directory = "/data"
    settings.sync = chance.pick([
      .always, .always, .every(milliseconds: 50), .every(milliseconds: 5_000), .never,
    ])
    settings.snapshotInterval = chance.pick([1, 500, 5_000, 60_000])
    settings.shutdownGrace = chance.pick([0, 300, 8_000])
    settings.pools = [Settings.Pool(name: "default"), Settings.Pool(name: "side")]
    settings.limits.openJobsMax = chance.pick([6, 40, 1_000])
    settings.limits.openBytesMax = chance.pick([300, 1 << 30])
    settings.limits.mapBytesMax = chance.pick([600, 3_000, 20_000, 16 << 20])
    settings.limits.mapUnreadMax = 0
    settings.limits.chunksPerTurnMax = chance.pick([1, 2, 5, 1_000])
    settings.limits.poolsMax = chance.pick([1, 3, 16])
    settings.limits.poolProcessesMax = 4
    settings.limits.joinedPoolsMax = chance.pick([0, 1, 4])
    settings.limits.joinedPoolAge = chance.pick([500, 10_000, 600_000])
    settings.limits.retryDelay = 200
    settings.limits.retryDelayMax = 2_000
    isRetentionTight = chance.percent(50)
    settings.limits.retentionAge = 400 * 24 * 3_600_000
    if isRetentionTight {
      settings.limits.retentionJobsMax = chance.pick([0, 5, 40])
      settings.limits.retentionBytesMax = chance.pick([300, 1 << 30])
      settings.limits.retentionAge = chance.pick([1_000, 60_000, 400 * 24 * 3_600_000])
    }
    self.settings = settings
    segmentBytesMax = chance.pick([200, 2_000, 20_000])
    slots = [chance.within(1...3), chance.within(1...2)]
    deedWeights = Plan.swarm(Plan.deeds, chance)
    actionWeights = Plan.swarm(Plan.actions, chance)
  }

  /// Of `SimulatedPool.Deed`, in its order.
  private static let deeds = [60, 8, 4, 4, 4, 4, 2, 4, 3, 2, 2]

  /// Of `Action`, in its order.
  private static let actions = [
    200, 40, 110, 90, 60, 12, 140, 20, 80, 40, 140, 60, 12, 2, 6, 40, 8, 6, 6, 3, 4, 3, 6, 1, 8, 10,
  ]

  /// The first of the weights stays; of the others some become nothing and some more.
  private static func swarm(_ weights: [Int], _ chance: Chance) -> [Int] {
    weights.enumerated().map { $0 == 0 ? $1 : $1 * chance.pick([0, 1, 1, 1, 2, 4]) }
  }

  func action(_ chance: Chance) -> Action {
    Action.allCases[chance.weighted(actionWeights)]
  }
}
