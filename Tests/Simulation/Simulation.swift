import HTTPServer
import JobCore
import JobStorage
import Logging
import Reactor

@testable import JobServer

/// The whole service but for its sockets, on simulated edges, from one seed: a history of requests,
/// faults, crashes and time, and after each event the question whether everything is as it must be.
///
/// Three bookkeepers judge, who know different things. The *tape* has every record in the order of
/// decision: what a start recovers must be the state after some of them, at least after those that
/// had to survive. The *tickets* have what clients were told and nothing else. The *world* knows
/// what runs, and which record must follow from the end of a call.
final class Simulation {
  /// One run of the service, from its start to its end, with its edges.
  final class Life {
    let server: Server
    let router: Router
    let fileSystem: SimulatedFileSystem
    let forkServer: SimulatedForkServer
    /// All that were there, those included that are dropped.
    var pools: [SimulatedPool]
    var signals: [Int32] = []
    /// How far the wall clock leapt forward meanwhile, all together.
    var leapt: Milliseconds = 0

    init(
      _ server: Server, _ fileSystem: SimulatedFileSystem, _ forkServer: SimulatedForkServer,
      _ pools: [SimulatedPool]
    ) {
      self.server = server
      self.fileSystem = fileSystem
      self.forkServer = forkServer
      self.pools = pools
      router = Router(server.allRoutes())
    }
  }

  /// How a process ends without having been asked to.
  enum Death { case killed, powerLost }

  let seed: UInt64
  let chance: Chance
  var plan: Plan
  let disk: SimulatedDisk
  let world: World
  var life: Life?
  /// The clocks.
  var moment = Moment(
    instant: Instant(nanoseconds: 1_000_000_000), timestamp: 1_800_000_000_000)
  /// How the armed death is to be.
  var armedDeath = Death.killed
  /// Whether nothing bad happens any more.
  var isCalm = false
  private(set) var problems: [String] = []
  /// What happened, for people; kept only when it is asked for.
  private(set) var story: [String] = []
  private let isTold: Bool
  /// Who hears of it at once, in the place of `story`.
  var whenTold: ((String) -> Void)?

  // The tape.
  var base = JobStore()
  var baseSequence: UInt64 = 0
  var tape: [Record] = []
  /// The newest record that must be there after a start, if processes died only, and if the power
  /// fails now.
  var appendedFloor: UInt64 = 0
  var syncedFloor: UInt64 = 0
  var hasLostPower = false

  // The tape again, as the books of maps up to `baseSequence`.
  var baseBooks = MapBooks()

  // The clients of maps.
  var mapTickets: [MapTicket] = []
  var mapTicketByID: [String: MapTicket] = [:]
  var inputs: [SimulatedInput] = []
  var readers: [SimulatedReader] = []
  /// How many lines of each map were written for a reader, in each order, in this life.
  var linesWritten: [MapNumber: [Int]] = [:]
  /// Maps that chunks were submitted of by the present event.
  var mapsOfEvent: Set<MapNumber> = []

  // The clients of pools.
  var poolTickets: [PoolTicket] = []
  /// Names of pools that somebody ever asked to end, or that end by themselves.
  var endedNames: Set<String> = []
  /// The newest job, or map, when a pool was created; by the mark that it has.
  var firstNumbers: [Int: JobNumber] = [:]
  var newestNumber: JobNumber = 0

  // The clients.
  var tickets: [Ticket] = []
  var ticketByID: [String: Ticket] = [:]
  var outstanding: [Outstanding] = []
  var lastRequest = 0
  /// The one whose answer is judged.
  var heardRequest = 0
  var answersHeard = 0
  /// Up to where tickets were compared with the state.
  var checkedSequence: UInt64 = 0
  var checkedAnswers = 0
  var wishes: [Wish] = []
  /// Who reads the feeds of pools.
  private(set) lazy var feedReaders = SimulatedFeedReader.some(of: plan, seed: seed)
  var feedPlaces = FeedPlaces()

  init(seed: UInt64, isTold: Bool = false) {
    self.seed = seed
    self.isTold = isTold
    chance = Chance(seed: seed)
    plan = Plan(chance)
    disk = SimulatedDisk(chance)
    world = World(chance, deedWeights: plan.deedWeights)
    world.engine = { [unowned self] in life?.server.engine }
    world.chunkBegan = { [unowned self] in chunkBegan($0) }
    world.mapRecordComes = { [unowned self] in mapRecordComes($0) }
    tell("\(plan.settings.sync), segments of \(plan.segmentBytesMax), \(plan.settings.limits)")
  }

  deinit { life?.fileSystem.die() }

  func fail(_ problem: @autoclosure () -> String) {
    guard problems.count < 20 else { return }
    problems.append(problem())
    tell("PROBLEM: \(problems[problems.count - 1])")
  }

  func tell(_ line: @autoclosure () -> String) {
    guard isTold else { return }
    let text = "\(moment.instant.nanoseconds / 1_000_000): \(line())"
    if let whenTold { whenTold(text) } else { story.append(text) }
  }

  func note(_ word: String) {
    world.note(word)
    tell(word)
  }

  /// Runs a history of so many events, then lets everything come to its end. Answers what was
  /// wrong.
  func run(events: Int) -> [String] {
    disk.makeFolder("")
    for _ in 0..<events where problems.isEmpty {
      act(plan.action(chance))
      problems += world.problems
    }
    if problems.isEmpty { finish() }
    problems += world.problems
    return problems
  }

  // MARK: Events

  private func act(_ action: Plan.Action) {
    switch action {
    case .ask: wishes.append(wish())
    case .askMuch: for _ in 0..<chance.within(2...6) { wishes.append(wish()) }
    case .askForPool: for wish in poolWishes() { wishes.append(.pool(wish)) }
    case .askForMap: for wish in mapWishes() { wishes.append(.map(wish)) }
    case .repeatSubmission: wishes.append(repetition())
    case .leave: leave()
    case .passTime: pass(milliseconds: chance.within(1...60))
    case .passMuchTime: pass(milliseconds: chance.pick([1_000, 10_000, 100_000, 5_000_000]))
    case .waitForDeadline: waitForDeadline()
    case .comeToRest: return comeToRest()
    case .jumpClock: jumpClock()
    case .lookAround: wishes += [.list, .metrics, .map(.list), .pool(.list)]
    default: harm(action)
    }
    if chance.percent(70) { pass(milliseconds: chance.below(10)) }
    takeTurn()
  }

  private func harm(_ action: Plan.Action) {
    switch action {
    case .syncEnds: life?.fileSystem.background?.complete()
    case .compact: compact()
    case .failCall: life?.fileSystem.fault = fault()
    case .failSync: life?.fileSystem.fault = .init(call: .sync, after: chance.below(3), count: 1)
    case .fillDisk:
      disk.capacity = disk.used + chance.below(400)
      note("disk fills")
    case .makeRoom: disk.capacity = .max
    case .dieAtCall:
      life?.fileSystem.callsToLive = chance.below(chance.pick([3, 12, 40]))
      armedDeath = chance.percent(50) ? .killed : .powerLost
    case .kill: die(.killed)
    case .losePower: die(.powerLost)
    case .drain:
      if life?.server.phase == .ready || life?.server.phase == .starting {
        note("signal")
        life?.signals.append(15)
      }
    case .loseForkServer:
      life?.forkServer.replacementsToFail = chance.below(3)
      life?.forkServer.lose()
    case .refuseCompactor: life?.forkServer.refusesStart = true
    case .failCompactor:
      if chance.percent(50) {
        life?.forkServer.compactorCallsToLive = chance.below(20)
      } else {
        life?.forkServer.compactorFault = fault()
      }
    case .breakPool: breakPool()
    default: preconditionFailure("\(action) harms nobody")
    }
  }

  /// From now on no worker of the second pool, or of a created one, starts any more; now and then
  /// one of them dies just then, with jobs in the pool's line.
  private func breakPool() {
    let created = life?.server.engine.poolPlaces.filter { $0 > 1 } ?? []
    let index = created.isEmpty || chance.percent(50) ? 1 : chance.pick(created)
    guard let server = life?.server else { return }
    world.brokenPool = server.engine.id(ofPool: index)
    note(index == 1 ? "pool breaks" : "created pool breaks")
    guard index == 1 else {
      return (server.driver(at: index) as? SimulatedPool)?.loseWorker(at: moment.instant) ?? ()
    }
    guard chance.percent(60) else { return }
    wishes.append(
      .submitMany((0..<8).map { _ in newTicket(isInArray: true, pool: "side") }, wait: false))
    life?.pools[1].loseWorker(at: moment.instant)
  }

  func fault() -> SimulatedFileSystem.Fault {
    var fault = SimulatedFileSystem.Fault(
      call: chance.percent(60)
        ? .append
        : chance.percent(30)
          ? chance.pick(SimulatedFileSystem.Call.allCases) : nil,
      after: chance.below(8), count: chance.within(1...6))
    fault.isTearing = chance.percent(50)
    fault.isShort = chance.percent(30)
    return fault
  }

  private func compact() {
    guard let life, life.forkServer.isCompacting else { return }
    let timestamp = moment.timestamp
    if chance.percent(50) {
      life.fileSystem.meanwhile = { [unowned life] in life.forkServer.compact(at: timestamp) }
    } else {
      life.forkServer.compact(at: timestamp)
    }
  }

  func pass(milliseconds: Int) {
    moment = Moment(
      instant: moment.instant.advanced(byMilliseconds: Milliseconds(milliseconds)),
      timestamp: moment.timestamp + Milliseconds(milliseconds))
  }

  private func jumpClock() {
    let day = 24 * 3_600_000
    let by = Milliseconds(chance.within(-day...day))
    moment = Moment(instant: moment.instant, timestamp: moment.timestamp + by)
    life?.leapt += max(by, 0)
    note("clock jumped")
  }

  /// Waits for what the service waits for, but not for longer than ten minutes.
  func waitForDeadline() {
    guard let due = life?.server.nextDeadline() else { return pass(milliseconds: 1_000) }
    let now = moment.instant.nanoseconds
    guard due > now else { return }
    pass(milliseconds: Int(min((due - now) / 1_000_000 + 1, 600_000)))
  }

  /// Takes turns without time passing until the service waits for something.
  private func comeToRest() {
    takeTurn()
    var turns = 0
    while problems.isEmpty, let due = life?.server.nextDeadline(),
      due <= moment.instant.nanoseconds
    {
      takeTurn()
      turns += 1
      if turns > 300 { fail("300 turns at one moment, and still something is due") }
    }
    guard problems.isEmpty, let life, life.server.engine.isWritable else { return }
    checkRetention(of: life.server)
    checkWaits(of: life.server)
  }

  // MARK: A turn

  func takeTurn() {
    guard let life else { return start() }
    do throws(StorageError) {
      try life.server.takeTurn(at: moment) { dispatch($0, life) }
    } catch {
      if !life.fileSystem.isDead { note("ended by \(error.code)") }
      return die(life.fileSystem.isDead ? armedDeath : .killed)
    }
    if life.fileSystem.isDead { return die(armedDeath) }
    check(life.server)
    readFeeds(life)
    if life.server.phase == .stopped { shutDown(life) }
  }

  private func dispatch(_ precedence: Precedence, _ life: Life) {
    switch precedence {
    case .early:
      let due = wishes
      wishes = []
      for wish in due where !world.isDead { send(wish) }
      moveStreams()
    case .middle:
      for signal in life.signals { life.server.signalArrived(signal) }
      life.signals = []
      if life.fileSystem.background?.hasNews == true { life.server.syncsFinished() }
    case .late:
      if life.forkServer.hasNews { life.server.forkServerReady() }
    }
  }

  private func shutDown(_ life: Life) {
    let last = baseSequence + UInt64(tape.count)
    do throws(StorageError) {
      try life.server.shutDown()
    } catch {
      if !life.fileSystem.isDead { note("shut down by \(error.code)") }
      return die(life.fileSystem.isDead ? armedDeath : .killed)
    }
    if life.fileSystem.isDead { return die(armedDeath) }
    note("stopped")
    die(.killed)
    (appendedFloor, syncedFloor) = (last, last)
  }
}
