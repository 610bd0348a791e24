import DequeModule
import HTTPServer
import JobCore
import JobStorage
import Logging
import Multiprocessing
import Reactor

/// The service: one thread, one epoll, and the turn that joins all parts.
///
/// It decides nothing: facts go to the engine as events, what the engine wants comes back as
/// records (made durable first) and effects (performed after). Its edges are given to it: the
/// storage with its file system, the pools, the fork server, and with each turn the moment and what
/// is ready; so that all of it runs on simulated ones as well (`Tests/Simulation`). This file is
/// the composition and the turn; the facets stand in `Server+….swift`.
final class Server {
  let settings: Settings
  let door: Door
  let log: Logger
  /// Whether each job and each request has its line.
  let tellsEach: Bool
  let forkServer: any ForkServerDriver
  let storage: JobStorage
  /// The pools that there are: those that are configured, in their order, then created ones.
  private(set) var pools: [any PoolDriver]
  /// The same by position; nil where there is none.
  private(set) var drivers: [(any PoolDriver)?]
  /// What runs the calls of a created pool.
  var makePool: ((PoolID, Settings.Pool) throws -> any PoolDriver)?
  /// Both clocks at the start: what shows wall times of monotonic moments counts from here.
  let beganAt: Moment
  /// How many CPUs this process may use.
  let cpuCount = CPUCount.usable

  /// Made by `open(_:_:)`, after the routes that need the server exist; nil in a simulation.
  var http: HTTPServer?
  /// What decides; see ``reading(_:)``.
  var place: EnginePlace
  var metrics = Metrics()
  var notices = Notices()
  var now: Moment

  /// What the engine decided in this turn.
  var turn = Turn()
  /// What clients asked for in this turn; decided after the HTTP server has run, so that no answer
  /// of this turn shows what the journal does not hold yet.
  var inbox: [Event] = []
  /// Requests whose answer the engine decides.
  var requests = RequestTable()
  /// Submissions that came before the pools told their tasks; held for `Server.earlyMax`.
  var early: [Event] = []
  /// How many pools had told theirs when those were looked at last.
  var settledEarly = 0
  /// The pools that cannot start processes, by their position.
  var troubledPools: Set<Int> = []
  /// Requests with many submissions, which are decided one a turn.
  var bulks: Deque<BulkRequest> = []
  var waiters = Waiters()
  /// What has ended, pool by pool, and who waits for the next.
  var completions = CompletionFeeds()
  var completionWaiters = CompletionWaiters()
  var poolWaiters = PoolWaiters()
  /// The last wish to wait that was read, at first that of a client with none: clients utter the
  /// same again and again.
  var lastWishes: (prefer: String?, query: String?, wish: WaitWish) = (nil, nil, WaitWish())

  /// Effects, and answers to reads, that wait for their records to be durable, in order.
  var heldBack: Deque<HeldBack> = []
  /// Jobs and maps of which memory knows more than is durable, with the last record that is not.
  var undurable: [JobNumber: UInt64] = [:]
  var snapshot = SnapshotRun()
  /// What programs wrote to standard error.
  let logs: LogFolder
  /// Chunks of maps that were dropped and may have logs, and which of them is looked at next.
  var chunksWithLogs: Deque<(chunks: Deque<JobMap.Place>, next: Int)> = []
  /// How many logs were dropped since one could be kept.
  var logsDropped = 0
  /// What calls of tasks with limits use.
  var usage = UsageWatches()
  let outOfMemoryKills = OutOfMemoryKills()
  /// Who reads logs while they are written.
  var logFollowers = LogFollowers()
  /// Who reads the events of jobs.
  var eventFollowers = EventFollowers()
  /// What the calls that run have said meanwhile.
  var callNews: [JobNumber: CallNews] = [:]
  /// Who reads results of maps as they come.
  var mapReaders = MapReaders()
  /// Lists of results that are being gathered.
  var resultLists: [MapResultList] = []
  /// Maps whose items are arriving.
  var mapInputs = MapInputs()
  var memoryReturn = MemoryReturn()
  /// What is configured for tasks, by name.
  let taskSettings: [String: TaskSettings]
  /// The tasks in Swift: those of every pool that keeps workers.
  let workerTasks: Set<String>
  /// What such a pool may have its workers run first.
  let workerInitializers: Set<String>
  /// When a fork server is tried to be started again; nil while there is one.
  var forkServerRetryAt: Instant?
  var forkServerPause: ReplacementPause
  /// Whether the system refused a fork server when one was last tried to be started.
  var isForkServerRefused = false
  /// When the journal is tried again after it failed; nil while it takes records.
  var retryAt: Instant?
  /// Since when the journal takes no records; nil while it does.
  var readOnlySince: Instant?
  var phase = Phase.starting
  /// When the first signal came.
  var drainBegunAt: Instant?
  /// When the end was begun.
  var closingBegunAt: Instant?
  /// What ends the service at once: a sync that failed.
  var fatal: StorageError?
  /// Called with the records that an event has led to, as soon as they are decided; for tests.
  var observeRecords: ((ArraySlice<Record>) -> Void)?

  /// Where the service is in its life.
  enum Phase: Equatable {
    /// A pool has no ready worker yet.
    case starting
    /// It serves.
    case ready
    /// It takes no more work; what runs may finish until the deadline (monotonic nanoseconds).
    case draining(until: UInt64)
    /// The grace is over: what runs is being ended.
    case endingCalls
    /// Nothing runs: the workers go, and the last snapshot is written.
    case closing
    /// The loop ends after this turn.
    case stopped
  }

  /// Puts the service together over a recovered state. Nothing runs yet.
  init(
    settings: Settings, workerTasks: Set<String>, workerInitializers: Set<String> = [],
    door: Door, log: Logger,
    forkServer: any ForkServerDriver, pools: [any PoolDriver], logs: LogFolder,
    storage: JobStorage, store: JobStore, seed: UInt64, now: Moment
  ) {
    self.settings = settings
    self.workerTasks = workerTasks
    self.workerInitializers = workerInitializers
    self.door = door
    self.log = log
    tellsEach = log.logLevel <= .debug
    self.forkServer = forkServer
    self.pools = pools
    drivers = pools
    self.logs = logs
    self.storage = storage
    self.now = now
    beganAt = now
    forkServerPause = ReplacementPause(startedAt: now.instant)
    taskSettings = Dictionary(uniqueKeysWithValues: settings.tasks.map { ($0.name, $0) })
    var engine = Engine(
      store: store, pools: settings.pools.map(\.name), limits: settings.limits,
      taskRules: taskSettings.compactMapValues(\.rule), poolRules: settings.poolRules, seed: seed)
    engine.poolSizes = pools.map(\.processes)
    place = EnginePlace(engine)
    for pool in pools { follow(pool) }
  }

  /// Hears of what the pools observe.
  private func follow(_ pool: any PoolDriver) {
    pool.isOutOfMemory = { [unowned self] in
      outOfMemoryKills.claim(at: now.instant.nanoseconds)
    }
    if let pool = pool as? any LoggingPoolDriver {
      pool.observe = { [unowned self] in note($0) }
    }
    if let pool = pool as? LineWorkerPoolDriver {
      pool.observeStray = { [unowned self, unowned pool] process, text in
        noteStray(process, text, of: pool.name)
      }
    }
  }

  /// Takes in what runs the calls of a created pool.
  func add(_ pool: any PoolDriver) {
    while drivers.count <= pool.index { drivers.append(nil) }
    drivers[pool.index] = pool
    pools.append(pool)
    follow(pool)
  }

  /// Lets go of a created pool.
  func removePool(at index: Int) {
    pools.removeAll { $0.index == index }
    if index < drivers.count { drivers[index] = nil }
  }

  // MARK: The turn

  /// Runs turns until the service has stopped: the one place that waits and reads the clock.
  func run(on reactor: Reactor) throws(StorageError) {
    while phase != .stopped {
      reactor.wait(until: nextDeadline(), maySpin: hasIdleCPU)
      try takeTurn(at: Moment.read()) { reactor.dispatch($0) }
      endTurn()
    }
  }

  /// One turn, at this moment. `dispatch` hands over what is ready of a precedence.
  func takeTurn(at moment: Moment, _ dispatch: (Precedence) -> Void) throws(StorageError) {
    now = moment

    // 1. Clients: answers go out, wishes are collected, reads are answered; as nothing was
    // decided in this turn, they cannot show what the journal does not hold.
    dispatch(.early)
    runHTTP()

    // 2. Signals and syncs. 3. What frees slots: results and deaths of workers. 4. What time has
    // brought. 5. What wants slots.
    dispatch(.middle)
    dispatch(.late)
    collectReports()
    try passTime()
    handleInbox()
    handleMapInputs()
    handleBulk()

    // 6. One write to the journal, then one a worker; then who has waited long enough.
    try commit()
    release()
    answerEndedInputs()
    for pool in pools { pool.flush() }
    endWaits()
    gatherResults()
    passCompletions()
    passLogs()
    advancePhase()
    if let fatal { throw fatal }
  }

  /// Housekeeping after a turn: memory that nobody needs goes back, a piece a turn; then the turn
  /// is counted.
  private func endTurn() {
    let (jobs, payloadBytes) = reading { ($0.store.residentCount, $0.store.bytes) }
    if memoryReturn.isDue(jobs: jobs, payloadBytes: payloadBytes) {
      SystemMemory.giveBack()
    }
    metrics.noteTurn(from: now.instant, to: SystemClock.monotonicNanoseconds)
  }

  /// Whether the workers leave a CPU to this thread.
  private var hasIdleCPU: Bool {
    reading { engine in
      pools.reduce(0) { $0 + engine.busySlots(pool: $1.index) } < cpuCount
    }
  }

  /// The earliest moment at which any source has something to do.
  func nextDeadline() -> UInt64? {
    var earliest: UInt64?
    func consider(_ deadline: UInt64?) {
      guard let deadline else { return }
      earliest = earliest.map { min($0, deadline) } ?? deadline
    }
    let nanoseconds = now.instant.nanoseconds
    consider(reading { $0.nextDeadline(at: now) }?.nanoseconds)
    consider(waiters.nextDeadline)
    consider(completionsDeadline)
    consider(poolWaiters.nextDeadline)
    if hasBulkWork || !inbox.isEmpty || !resultLists.isEmpty || !chunksWithLogs.isEmpty {
      consider(nanoseconds)
    }
    consider(mapInputDeadline)
    consider(storageDeadline?.nanoseconds)
    consider(http?.nextDeadline(at: nanoseconds))
    consider(usage.nextDeadline)
    consider(eventFollowers.nextDeadline)
    for pool in pools { consider(pool.hasEvents ? nanoseconds : pool.nextDeadline) }
    consider(phaseDeadline)
    consider(forkServerRetryAt?.nanoseconds)
    consider(notices.deadline(at: now.instant)?.nanoseconds)
    consider(forkServer.nextDeadline)
    return earliest
  }

  private func passTime() throws(StorageError) {
    let instant = now.instant
    passForkServerTime()
    for pool in pools { pool.passTime(at: instant) }
    collectReports()
    noteTroubles()
    passUsageTime()
    passEventTime()
    let due = reading { $0.nextDeadline(at: now) }
    if let due, due <= instant { decide(.timePassed) }
    try passStorageTime()
    passNotices()
  }

  private func endWaits() {
    // If more are due, their deadline has passed, and so the next turn begins without a wait.
    let nanoseconds = now.instant.nanoseconds
    for waiter in waiters.popExpired(at: nanoseconds, atMost: Waiters.expiredMax) {
      waitIsOver(waiter)
    }
    endPoolWaits()
  }

  private func runHTTP() {
    guard let http else { return }
    let nanoseconds = now.instant.nanoseconds
    guard let due = http.nextDeadline(at: nanoseconds), due <= nanoseconds else { return }
    http.run(at: nanoseconds, wallSecond: now.timestamp / 1_000)
    noteConnections()
  }

  private func handleInbox() {
    guard !inbox.isEmpty else { return }
    for event in inbox { decide(event) }
    inbox.removeAll(keepingCapacity: true)
  }

  /// Lets the engine decide what follows from an event, as part of this turn.
  func decide(_ event: Event) {
    let first = turn.records.count
    place.engine.handle(event, at: now, &turn)
    noteRecords(from: first)
  }

  /// Counts what an event has led to, before a later one of the turn drops the jobs.
  func noteRecords(from first: Int) {
    guard first < turn.records.count else { return }
    reading { metrics.note(turn.records, from: first, store: $0.store, at: now) }
    if let observeRecords { observeRecords(turn.records[first...]) }
    if tellsEach { tellEnds(from: first) }
  }

  // MARK: Requests

  /// Asks the engine on behalf of a client. A submission that comes before the pools told their
  /// tasks waits until they have, for some seconds: the client sees a slower answer, not an error.
  func ask(_ request: Request, _ event: (RequestID) -> Event) {
    let event = event(requests.add(request))
    if waitsForPools(event) { early.append(event) } else { inbox.append(event) }
  }
}

extension Moment {
  /// Both clocks, now.
  static func read() -> Moment {
    Moment(
      instant: Instant(nanoseconds: SystemClock.monotonicNanoseconds),
      timestamp: SystemClock.wallMilliseconds)
  }
}
