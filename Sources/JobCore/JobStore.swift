import DequeModule

/// Every job, every map and every pool that a client created: the durable state, and nothing else.
///
/// It changes only by `apply(_:)`, so the state that recovery rebuilds from the records equals the
/// live one. A snapshot is its public face read out; `restore` is the way back.
public struct JobStore: Equatable, Sendable {
  /// Names of tasks and pools.
  public internal(set) var names = NameTable()
  /// Ids dropped lately.
  public internal(set) var forgotten = ForgottenIDs()
  /// The number that the next submission gets.
  public internal(set) var nextNumber: JobNumber = 1
  /// Bytes that open jobs brought with them, and those of ended chunks whose map is not final.
  public internal(set) var openBytes = 0
  /// Bytes that finished jobs and maps hold.
  public internal(set) var finishedBytes = 0
  /// Finished jobs and maps, as retention counts them: a map with its chunks is one.
  public internal(set) var finishedCount = 0
  /// The maps; see `JobStore+Maps.swift`.
  var maps = MapTable()
  /// Maps that were dropped, while their chunks are being given back; see `JobStore+Dropped.swift`.
  var dropped: Deque<DroppedMap> = []
  /// Bytes that those chunks hold.
  public internal(set) var droppedBytes = 0
  /// The maps of each pool, at the place of its name.
  var mapCounts: [MapCounts] = []
  /// The pools that clients created, in that order; see `JobStore+Pools.swift`. Some hundreds at
  /// most.
  public internal(set) var createdPools: [CreatedPool] = []
  /// The names of such pools that were dropped, while jobs or maps may be of them.
  var retiredNames: [Name] = []
  /// Whether something was dropped since those that nothing has were last looked for.
  var mayHaveUnusedNames = true
  /// Names that stay whatever is held: those of configured pools.
  var namesKept: Set<String> = []

  var table = JobTable()
  /// The ids that tell numbers; nil: none does, as long as there is no engine.
  private var numbered: NumberedIDs?
  /// Where the job, or map, of an id, or of an idempotency key, is. They hold both themselves. The
  /// ids of jobs that are told are not in `ids`.
  var ids = NumberTable()
  var keys = NumberTable()
  /// How many jobs are in each state, by its index.
  private var counts = SIMD8<Int>()
  /// The same for each pool: as many numbers, at the place of the pool's name.
  private var poolCounts: [Int] = []
  private static let stateCount = JobState.allCases.count
  /// Finished jobs and maps in the order in which they finished; a dropped one leaves its place
  /// behind until it comes to the front. A chunk has none: it goes with its map.
  var finishOrder = NumberQueue()
  let forgottenIDsMax: Int
  private let passing = PassedByAddress()

  /// An empty store.
  public init(forgottenIDsMax: Int = Limits().forgottenIDsMax) {
    self.forgottenIDsMax = forgottenIDsMax
  }

  /// More than the number of any job or map.
  public static let numberLimit = NumberTable.numberLimit
  /// How far the number of a job or map that a snapshot holds may lie behind the next one: each 256
  /// numbers between the oldest job and the newest cost 16 bytes, which makes 4 GiB.
  public static let numberSpanMax: JobNumber = 1 << 36

  // MARK: Reading

  /// How many jobs are held.
  public var count: Int { table.count }

  /// How many jobs are in `state`.
  public func count(of state: JobState) -> Int {
    counts[Int(state.index)]
  }

  /// How many jobs of `pool` are in `state`.
  public func count(of state: JobState, pool: Name) -> Int {
    let place = place(of: state, pool: pool)
    return place < poolCounts.count ? poolCounts[place] : 0
  }

  /// The pools that jobs are held of, in the order in which they were first named.
  public var poolsOfJobs: [Name] {
    let width = JobStore.stateCount
    return (0..<poolCounts.count / width).lazy
      .filter { poolCounts[$0 * width..<($0 + 1) * width].contains { $0 > 0 } }
      .map { Name(index: UInt16($0)) }
  }

  /// How many jobs are not final.
  public var openCount: Int {
    count(of: .scheduled) + count(of: .queued) + count(of: .running)
  }

  /// The job with `number`.
  public subscript(number: JobNumber) -> Job? {
    @inline(__always) get { table[number] }
  }

  /// Calls `body` with the job with `number`, and answers whether it is held. In another module, to
  /// take it out and look at it copies it several times, and each copy counts references.
  public func withJob(_ number: JobNumber, _ body: (Job) -> Void) -> Bool {
    guard let job = table[number] else { return false }
    body(job)
    return true
  }

  /// The text of a name; cheaper than to ask `names`, which is a copy outside of this module.
  public func text(of name: Name) -> String { names[name] }

  /// The state of the job with `number`.
  @inline(__always)
  func state(of number: JobNumber) -> JobState? { table[number]?.state }

  /// What of the job with `number` is looked at most; cheaper than the job, which holds strings.
  /// The same of a map, as its number is no job's.
  public func brief(of number: JobNumber) -> JobBrief? {
    table.brief(of: number) ?? maps[number]?.brief
  }

  /// The number of the job with `id`.
  public func number(of id: JobID) -> JobNumber? {
    if let number = numbered?.number(in: id), table.id(of: number) == id { return number }
    return ids.find(id.seededHash) { table.id(of: $0) == id }
  }

  /// From now on the ids of new jobs are to come from `newID`. Only the first call counts: by that
  /// mask jobs may be held.
  mutating func numberIDs(mask: UInt64) {
    guard numbered == nil else { return }
    numbered = NumberedIDs(mask: mask, from: nextNumber)
  }

  /// An id for the job with a number that is to come; nil: it is taken.
  func newID(of number: JobNumber, at timestamp: Timestamp, random: UInt64) -> JobID? {
    guard let numbered else { preconditionFailure("ids are not numbered yet") }
    let id = numbered.id(of: number, at: timestamp, random: random)
    return isTaken(id) ? nil : id
  }

  /// Whether the id of the job with a number is told: it tells the number, so that it is not
  /// indexed.
  @inline(__always)
  private func isTold(_ id: JobID, _ number: JobNumber) -> Bool {
    numbered?.number(in: id) == number
  }

  /// Makes a job's id lead to it no more.
  mutating func removeID(of job: Job) {
    if !isTold(job.id, job.number) { ids.remove(job.id.seededHash, job.number) }
  }

  /// The number of the job that was submitted under `key`.
  public func number(ofKey key: String) -> JobNumber? {
    keys.find(JobStore.hash(key)) { table[$0]?.options?.idempotencyKey == key }
  }

  /// Seeded anew in each process, so that nobody can choose keys that share a place.
  static func hash(_ key: String) -> UInt64 {
    UInt64(bitPattern: Int64(key.hashValue))
  }

  /// The job that finished before all other finished jobs and maps; nil if that is a map.
  public var oldestFinished: Job? { finishOrder.first.flatMap { table[$0] } }

  /// When the first of the finished jobs and maps finished.
  var oldestFinishedAt: Timestamp? {
    finishOrder.first.flatMap { table[$0]?.endedOrDueAt ?? maps[$0]?.finishedAt }
  }

  /// Which one that is.
  var oldestFinishedNumber: JobNumber? { finishOrder.first }

  /// Places in the order of finishing, those that dropped jobs left behind included.
  var finishOrderCount: Int { finishOrder.count }

  /// Calls `body` for each job below `bound` from the newest down, until it answers false.
  public func descend(below bound: JobNumber, while body: (Job) -> Bool) {
    table.descend(below: bound, while: body)
  }

  /// Calls `body` for each finished job and map that is held, in the order in which they finished:
  /// its number, its pool, and when that was. A chunk is none of them, as it goes with its map.
  public func forEachFinished(_ body: (JobNumber, Name, Timestamp) -> Void) {
    for number in finishOrder.entries {
      if let (pool, at) = table[number].map({ ($0.pool, $0.endedOrDueAt) }) {
        body(number, pool, at)
      } else if let map = maps[number] {
        body(number, map.pool, map.finishedAt)
      }
    }
  }

  /// Calls `body` for each open job, by number.
  public func forEachOpen(_ body: (Job) -> Void) {
    table.forEachAscending { if !$0.state.isFinal { body($0) } }
  }

  /// Calls `body` for each job in the order in which a snapshot holds them.
  public func forEachInSnapshotOrder(_ body: (Job) -> Void) {
    forEachInSnapshotOrder(maps: { _ in }, jobs: { job, _ in body(job) })
  }

  // MARK: Restoring

  /// Takes over what a snapshot says of the whole; before any `restore(_:…)`.
  public mutating func restore(nextNumber: JobNumber, forgotten hashes: some Sequence<UInt64>) {
    precondition(
      table.count == 0 && maps.count == 0, "a snapshot is restored into an empty store")
    self.nextNumber = nextNumber
    for hash in hashes { forgotten.insert(hash, bound: forgottenIDsMax) }
  }

  /// Whether jobs of this task and this pool can be taken in: no more than 65,535 names can.
  public func hasPlace(forTask task: String, pool: String) -> Bool {
    names.hasPlace(forTask: task, pool: pool)
  }

  /// Takes over one job of a snapshot, in the snapshot's order.
  public mutating func restore(_ job: RestoredJob) {
    let submitted = job.submitted
    insert(submitted)
    table.update(submitted.number) { held in
      held.state = job.state
      held.isCancelRequested = job.isCancelRequested
      held.losses = UInt8(clamping: job.losses)
      held.attempt = UInt16(clamping: job.attempt)
      held.version = job.version
      held.startedAt = job.startedAt
      held.endedOrDueAt = job.endedOrDueAt
      held.ending = job.ending
    }
    if let chunk = submitted.options?.chunk { restoreCounts(of: submitted.number, chunk) }
    guard job.state != .queued else { return }
    recount(table.update(submitted.number) { $0.pool }, from: .queued, to: job.state)
    if job.state.isFinal { settle(submitted.number, line: job.line) }
  }

  // MARK: Applying

  /// Makes a fact part of the state. Live operation and recovery both end here.
  ///
  /// A record that does not fit the state is a broken journal or a broken engine; it is told by
  /// `Misfit`, and the state is unchanged.
  public mutating func apply(_ record: Record) throws(Misfit) {
    switch record {
    case .jobSubmitted(let submitted):
      guard
        submitted.number >= nextNumber, submitted.number < NumberTable.numberLimit,
        submitted.options?.idempotencyKey.map(isTaken(key:)) != true,
        !isTaken(submitted.id), isFitting(submitted),
        names.hasPlace(forTask: submitted.task, pool: submitted.pool)
      else { throw Misfit(record: record, found: nil) }
      insert(submitted)
      if let chunk = submitted.options?.chunk { maps.update(chunk.map) { $0.version &+= 1 } }
      nextNumber = submitted.number + 1
    case .attemptStarted(let number, let attempt, let timestamp):
      try move(number, by: .attemptStarted, record) { job in
        job.attempt = UInt16(clamping: attempt)
        job.startedAt = timestamp
      }
    case .attemptRevoked(let number, let revocation):
      try move(number, by: .attemptRevoked, record) { job in
        // A damaged journal may revoke what it never counted; that must not end the start.
        job.attempt -= min(job.attempt, 1)
        if job.attempt == 0 { job.startedAt = 0 }
        if revocation == .interrupted { job.losses = UInt8(clamping: Int(job.losses) + 1) }
      }
    case .attemptFailed(let number, let error, let retryAt):
      try move(number, by: .attemptFailed, record) { job in
        job.ending = .error(error)
        job.endedOrDueAt = retryAt
      }
    case .jobQueued(let number):
      try move(number, by: .jobQueued, record) { $0.endedOrDueAt = 0 }
    case .cancelRequested(let number):
      try move(number, by: .cancelRequested, record) { $0.isCancelRequested = true }
    case .jobEnded(let number, let outcome, let timestamp):
      try end(number, outcome, timestamp, record)
    case .jobForgotten(let number):
      try forget(number, record)
      mayHaveUnusedNames = true
    case .jobWithdrawn(let number):
      // A chunk goes with its map.
      guard let job = table[number], !job.state.isFinal, job.options?.chunk == nil else {
        throw Misfit(record: record, found: table[number]?.state)
      }
      // Its id is none that was dropped: nobody was told of it.
      drop(job)
      openBytes -= job.submittedBytes
    case .mapCreated, .mapInputEnded, .mapCancelRequested, .chunkReleased, .mapForgotten,
      .mapWithdrawn:
      try applyToMap(record)
    case .poolCreated, .poolResized, .poolPaused, .poolResumed, .poolClosed, .poolTerminated,
      .poolRemoved:
      try applyToPool(record)
    }
  }

  /// How many maps a pool has.
  struct MapCounts: Equatable, Sendable {
    var held = 0
    var open = 0
  }

  /// A record that cannot be applied to the state it meets.
  public struct Misfit: Error, Equatable {
    /// The record.
    public let record: Record
    /// The state of the job or map that it names; nil: none such is held (or, for a submission, the
    /// number, id or key is taken, or there are too many names).
    public let found: JobState?
  }

  /// Takes in a job whose id and key are free.
  private mutating func insert(_ submitted: JobSubmitted) {
    let number = submitted.number
    let task = names.intern(submitted.task, isTask: true)
    let pool = names.intern(submitted.pool)
    // Into the table at once: a copy of the job would count references.
    table.insert(
      Job(
        number: number, id: submitted.id, task: task, pool: pool, args: submitted.args,
        options: submitted.options, createdAt: submitted.at))
    if !isTold(submitted.id, number) { ids.insert(submitted.id.seededHash, number) }
    if let key = submitted.options?.idempotencyKey { keys.insert(JobStore.hash(key), number) }
    recount(pool, from: nil, to: .queued)
    openBytes += submitted.bytes
    if let chunk = submitted.options?.chunk { insert(chunk, submitted) }
  }

  private mutating func move(
    _ number: JobNumber, by move: Move, _ record: Record, _ change: (inout Job) -> Void
  ) throws(Misfit) {
    guard let from = table[number]?.state, let to = from.after(move) else {
      throw Misfit(record: record, found: table[number]?.state)
    }
    let (pool, chunk) = table.update(number) { job in
      let before = job.options?.chunk.map { ($0.map, job.itemCounts) }
      job.state = to
      job.version += 1
      change(&job)
      return (job.pool, before.map { ($0.0, $0.1, job.itemCounts) })
    }
    recount(pool, from: from, to: to)
    if let (map, before, after) = chunk {
      maps.update(map) { map in
        map.items -= before
        map.items += after
        map.recountChunk(from: from, to: to)
        map.version &+= 1
      }
    }
  }

  /// Counts a job of `pool` that goes from one state to another; nil: it comes, or it goes.
  mutating func recount(_ pool: Name, from: JobState?, to: JobState?) {
    if let from { discount(pool, from, 1) }
    if let to {
      counts[Int(to.index)] += 1
      let place = place(of: to, pool: pool)
      if place >= poolCounts.count {
        let missing = (Int(pool.index) + 1) * JobStore.stateCount - poolCounts.count
        poolCounts.append(contentsOf: repeatElement(0, count: missing))
      }
      poolCounts[place] += 1
    }
  }

  /// Counts jobs of `pool` no more that are in a state.
  mutating func discount(_ pool: Name, _ state: JobState, _ number: Int) {
    counts[Int(state.index)] -= number
    poolCounts[place(of: state, pool: pool)] -= number
  }

  /// Where a pool's number of jobs in a state is kept.
  private func place(of state: JobState, pool: Name) -> Int {
    Int(pool.index) * JobStore.stateCount + Int(state.index)
  }

  private mutating func end(
    _ number: JobNumber, _ outcome: Outcome, _ timestamp: Timestamp, _ record: Record
  ) throws(Misfit) {
    let ending: Job.Ending =
      switch outcome {
      case .succeeded(let text): .result(text)
      case .succeededWithBytes(let bytes): .bytes(bytes)
      case .failed(let error): .error(error)
      case .cancelled: .none
      }
    try move(number, by: outcome.move, record) { job in
      job.endedOrDueAt = timestamp
      job.isCancelRequested = false
      job.ending = ending
    }
    settle(number)
  }

  /// Moves the weight of a job that has become final from the open to the finished ones.
  ///
  /// - Parameter line: of a chunk that a snapshot holds: the items that ended before it.
  private mutating func settle(_ number: JobNumber, line: Int? = nil) {
    let (submitted, retained, chunk) = table.update(number) {
      ($0.submittedBytes, $0.retainedBytes, $0.options?.chunk)
    }
    openBytes -= submitted
    if let chunk { return settle(chunk, number, submitted, retained, line) }
    finishedBytes += retained
    finishedCount += 1
    finishOrder.append(number)
  }

  private mutating func forget(_ number: JobNumber, _ record: Record) throws(Misfit) {
    guard let job = table[number], job.state.isFinal, job.options?.chunk == nil else {
      throw Misfit(record: record, found: table[number]?.state)
    }
    drop(job)
    finishedBytes -= job.retainedBytes
    finishedCount -= 1
    forgotten.insert(job.id.stableHash, bound: forgottenIDsMax)
    tidyFinishOrder()
  }

  /// Takes out the places that dropped jobs and maps have left behind, where that is due.
  mutating func tidyFinishOrder() {
    while let first = finishOrder.first, table[first] == nil, !maps.contains(first) {
      finishOrder.removeFirst()
    }
    if finishOrder.count > 2 * finishedCount + 1_024 {
      _ = finishOrder.sweepPiece { [table, maps] in
        table.id(of: $0) == nil && !maps.contains($0)
      }
    }
  }

  /// Takes a job out, with its id and its key.
  mutating func drop(_ job: Job) {
    _ = table.remove(job.number)
    removeID(of: job)
    if let key = job.options?.idempotencyKey { keys.remove(JobStore.hash(key), job.number) }
    recount(job.pool, from: job.state, to: nil)
  }

  // MARK: Comparing

  /// Equal when both hold the same jobs, keys and forgotten ids; the places that dropped jobs left
  /// in the order of finishing, and the order in which names were interned, do not count.
  public static func == (lhs: JobStore, rhs: JobStore) -> Bool {
    guard
      lhs.nextNumber == rhs.nextNumber, lhs.openBytes == rhs.openBytes,
      lhs.finishedBytes == rhs.finishedBytes, lhs.counts == rhs.counts,
      lhs.keys.count == rhs.keys.count, lhs.forgotten == rhs.forgotten,
      lhs.finishedCount == rhs.finishedCount,
      lhs.hasSameMaps(as: rhs), lhs.createdPools == rhs.createdPools
    else { return false }
    let order = lhs.finishOrder.entries.filter(lhs.isHeld)
    guard order == rhs.finishOrder.entries.filter(rhs.isHeld) else { return false }
    return lhs.renamed(to: rhs.names) == rhs.table && lhs.isIndexed && rhs.isIndexed
  }

  /// Whether a number is that of a job or a map.
  func isHeld(_ number: JobNumber) -> Bool { table[number] != nil || maps.contains(number) }

  /// Whether every job, and every map, is found by its id and its key, and nothing else is indexed
  /// but the ids of hidden jobs.
  private var isIndexed: Bool {
    var isIndexed = true
    var (keyCount, idCount) = (0, maps.count)
    maps.forEachAscending { map in
      if mapNumber(of: map.id) != map.number { isIndexed = false }
      guard let key = map.options?.idempotencyKey else { return }
      keyCount += 1
      if mapNumber(ofKey: key) != map.number { isIndexed = false }
    }
    table.forEachAscending { job in
      if number(of: job.id) != job.number { isIndexed = false }
      if !isTold(job.id, job.number) { idCount += 1 }
      guard let key = job.options?.idempotencyKey else { return }
      keyCount += 1
      if number(ofKey: key) != job.number { isIndexed = false }
    }
    table.forEachHidden { job in
      if !isTold(job.id, job.number) { idCount += 1 }
    }
    return isIndexed && ids.count == idCount && keys.count == keyCount
  }

  private func renamed(to other: NameTable) -> JobTable {
    guard names != other else { return table }
    var result = JobTable()
    table.forEachAscending { job in
      guard let task = other.find(names[job.task]), let pool = other.find(names[job.pool]) else {
        return
      }
      var copy = Job(
        number: job.number, id: job.id, task: task, pool: pool, args: job.args,
        options: job.options, createdAt: job.createdAt)
      copy.state = job.state
      copy.isCancelRequested = job.isCancelRequested
      copy.losses = job.losses
      copy.attempt = job.attempt
      copy.version = job.version
      copy.startedAt = job.startedAt
      copy.endedOrDueAt = job.endedOrDueAt
      copy.ending = job.ending
      result.insert(copy)
    }
    return result
  }
}
