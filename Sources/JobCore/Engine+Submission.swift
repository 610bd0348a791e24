/// Submissions: which pool, whether it is new, whether there is room.
extension Engine {
  mutating func submit(
    _ submission: Submission, _ request: RequestID, at moment: Moment, _ turn: inout Turn
  ) {
    if let answer = answerToRepeat(submission) {
      turn.effects.append(.answer(request, answer))
      return
    }
    let pool: Int
    store.makeRoomForNames()
    switch admit(submission, at: moment) {
    case .failure(let refusal):
      turn.effects.append(.answer(request, .refused(refusal.reason)))
      return
    case .success(let index):
      pool = index
    }
    let number = store.nextNumber
    let id = submission.id ?? newID(of: number, at: moment)
    emit(
      .jobSubmitted(
        JobSubmitted(
          number: number, id: id, task: submission.task, pool: pools[pool].name,
          args: submission.args, options: submission.options, at: moment.timestamp)), &turn)
    noteNamed(submission.pool, pool, at: moment)
    enqueue(number)
    turn.effects.append(.answer(request, .accepted(number, isReplay: false)))
    dispatch(pool: pool, at: moment, &turn)
  }

  /// The answer to a submission whose id or key names a job or map already; nil: it is new.
  private func answerToRepeat(_ submission: Submission) -> Answer? {
    if let map = earlierMap(submission.id, submission.options?.idempotencyKey) {
      return .refused(.idempotencyMismatch(map.id))
    }
    guard let earlier = earlierJob(of: submission) else { return nil }
    guard isSamePayload(submission, as: earlier), !isKeyOfAnother(submission, earlier) else {
      return .refused(.idempotencyMismatch(earlier.id))
    }
    return .accepted(earlier.number, isReplay: true)
  }

  /// A submission named a pool.
  mutating func noteNamed(_ name: String?, _ pool: Int, at moment: Moment) {
    guard name != nil else { return }
    lastNamedPool = pool
    pools[pool].attendance.lastAt = moment.instant
  }

  /// The job that this submission repeats, by its id or its key.
  private func earlierJob(of submission: Submission) -> Job? {
    if let id = submission.id, let number = store.number(of: id) { return store[number] }
    guard let key = submission.options?.idempotencyKey, let number = store.number(ofKey: key)
    else { return nil }
    return store[number]
  }

  /// Whether the submission's key names another job than its id does.
  private func isKeyOfAnother(_ submission: Submission, _ job: Job) -> Bool {
    guard let key = submission.options?.idempotencyKey, let number = store.number(ofKey: key)
    else { return false }
    return number != job.number
  }

  /// The same payload: task, arguments and options, all compared (and so exactly). A pool or id
  /// that the client left out is not compared: the engine chose it.
  private func isSamePayload(_ submission: Submission, as job: Job) -> Bool {
    let options = submission.options ?? .defaults
    return store.names[job.task] == submission.task && job.args == submission.args
      && options.isSamePayload(as: job.effectiveOptions)
      && (submission.pool == nil || submission.pool == store.names[job.pool])
      && submission.id.map { $0 == job.id } ?? true
      && (options.idempotencyKey == nil || job.options?.idempotencyKey == nil
        || options.idempotencyKey == job.options?.idempotencyKey)
  }

  struct Refused: Error {
    let reason: Refusal
  }

  /// The pool that takes the submission, or why none does.
  private mutating func admit(_ submission: Submission, at moment: Moment) -> Result<Int, Refused> {
    let admitted = admitTask(submission.task, pool: submission.pool)
    guard case .success(let pool) = admitted else { return admitted }
    let bytes = submission.args.utf8.count
    if let refused = whyNotAllowed(submission.options, argumentBytes: bytes, pool: pool) {
      return .failure(refused)
    }
    let optionBytes = submission.options?.bytes ?? 0
    if let refused = whyNoRoom(jobs: 1, bytes: bytes + optionBytes, at: moment) {
      return .failure(refused)
    }
    return admitted
  }

  /// Why a pool's rule refuses jobs with these options and so many bytes of arguments; nil: it does
  /// not.
  func whyNotAllowed(_ options: JobOptions?, argumentBytes: Int, pool: Int) -> Refused? {
    pools[pool].rule
      .refusal(of: options, argumentBytes: argumentBytes, pool: pools[pool].name)
      .map { Refused(reason: $0) }
  }

  /// The pool that runs a task, or why none does.
  mutating func admitTask(_ task: String, pool: String?) -> Result<Int, Refused> {
    if isDraining { return .failure(Refused(reason: .draining)) }
    if !isWritable { return .failure(Refused(reason: .readOnly)) }
    let choice = choosePool(task, pool)
    guard case .success(let index) = choice else { return choice }
    return store.names.hasPlace(forTask: task, pool: pools[index].name)
      ? choice : .failure(Refused(reason: .tooManyNames))
  }

  /// Why so many further jobs with so many bytes together cannot be open; nil: they can.
  func whyNoRoom(jobs: Int, bytes: Int, at moment: Moment) -> Refused? {
    if bytes > limits.openBytesMax {
      return Refused(reason: .payloadTooLarge(bytesMax: limits.openBytesMax))
    }
    if jobs > limits.openJobsMax {
      return Refused(reason: .tooManyChunks(jobsMax: limits.openJobsMax))
    }
    if store.openCount + jobs <= limits.openJobsMax, store.openBytes + bytes <= limits.openBytesMax
    {
      return nil
    }
    let missing = Double(store.openCount + jobs - limits.openJobsMax)
    let seconds = drainRate.secondsUntilRoom(
      of: store.openCount, needing: max(jobsInTheWay(of: bytes), missing), at: moment.instant)
    return Refused(reason: .queueFull(retryAfter: seconds))
  }

  /// How many jobs of the present mean size have to end before there is room for one with so many
  /// bytes; at least 1.
  private func jobsInTheWay(of bytes: Int) -> Double {
    let missing = Double(store.openBytes) + Double(bytes) - Double(limits.openBytesMax)
    guard missing > 0, store.openBytes > 0 else { return 1 }
    return max(missing * Double(store.openCount) / Double(store.openBytes), 1)
  }

  private mutating func choosePool(_ task: String, _ pool: String?) -> Result<Int, Refused> {
    if let name = pool {
      guard let index = poolIndex(named: name) else {
        return .failure(Refused(reason: .unknownPool(name)))
      }
      return opened(index).flatMap { index in
        if hasTold(task, pool: index) { return .success(index) }
        guard pools[index].isDynamic else {
          return .failure(Refused(reason: .taskNotInPool(task: task, pool: name)))
        }
        return takingName(task, index)
      }
    }
    if let (known, pool) = lastChoice, known == task { return opened(pool) }
    // A created pool is for those who name it.
    let configured = 0..<configuredPools
    if let first = configured.first(where: { hasTold(task, pool: $0) }),
      !configured.dropFirst(first + 1).contains(where: { hasTold(task, pool: $0) })
    {
      lastChoice = (task, first)
      return opened(first)
    }
    let knowing = configured.filter { hasTold(task, pool: $0) }
    if let index = knowing.first(where: { pools[$0].name == "default" }) { return opened(index) }
    guard knowing.isEmpty else {
      let names = knowing.map { pools[$0].name }
      return .failure(Refused(reason: .ambiguousTask(task, pools: names)))
    }
    if let choice = chooseDynamicPool(for: task) { return choice }
    // A pool that never told its tasks may be the one that is meant: say so instead of "unknown".
    if let silent = configured.first(where: { pools[$0].tasks == nil }) {
      return opened(silent)
    }
    return .failure(Refused(reason: .unknownTask(task)))
  }

  /// The pool that runs a task that none has named; nil: none does.
  ///
  /// Without a pool only a name that says where the task is found, `module:name`, is taken: any
  /// other is a typing error.
  private func chooseDynamicPool(for task: String) -> Result<Int, Refused>? {
    guard task.utf8.contains(UInt8(ascii: ":")) else { return nil }
    let dynamic = (0..<configuredPools).filter { pools[$0].isDynamic }
    guard let first = dynamic.first(where: { pools[$0].name == "default" }) ?? dynamic.first else {
      return nil
    }
    guard dynamic.count == 1 || pools[first].name == "default" else {
      return .failure(
        Refused(reason: .ambiguousTask(task, pools: dynamic.map { pools[$0].name })))
    }
    return opened(first).flatMap { takingName(task, $0) }
  }

  /// Whether the name of a task that no pool has told can be held.
  private func takingName(_ task: String, _ pool: Int) -> Result<Int, Refused> {
    store.names.hasPlaceForTask || store.names.find(task) != nil
      ? .success(pool) : .failure(Refused(reason: .tooManyNames))
  }

  /// The pool itself if it takes jobs, or why it takes none. Without a copy of its entry, which
  /// would count many references.
  private func opened(_ index: Int) -> Result<Int, Refused> {
    func refused(_ make: (String) -> Refusal) -> Result<Int, Refused> {
      .failure(Refused(reason: make(pools[index].name)))
    }
    let stage = pools[index].stage
    switch stage {
    case .running: break
    case .starting: return refused { .poolNotReady(pool: $0) }
    case .closing, .terminating, .joined:
      return refused { .poolNotRunning(pool: $0, reason: stage.inWords) }
    }
    if let reason = pools[index].brokenReason {
      return refused { .poolNotRunning(pool: $0, reason: reason) }
    }
    guard pools[index].tasks != nil else { return refused { .poolNotReady(pool: $0) } }
    return .success(index)
  }

  /// An id for the job with a number that is to come.
  mutating func newID(of number: JobNumber, at moment: Moment) -> JobID {
    while true {
      let random = generator.next()
      if let id = store.newID(of: number, at: moment.timestamp, random: random) { return id }
    }
  }

  /// An id for what is no job.
  mutating func newID(at moment: Moment) -> JobID {
    while true {
      let id = JobID(version7At: moment.timestamp, random: (generator.next(), generator.next()))
      if !store.isTaken(id) { return id }
    }
  }

  /// Puts a queued job at the end of its pool's line, or where its age belongs.
  mutating func enqueue(_ number: JobNumber, byAge: Bool = false) {
    guard let pool = store[number]?.pool else {
      preconditionFailure("job \(number) is not held")
    }
    let line = Int(pool.index)
    while ready.count <= line { ready.append(ReadyQueue()) }
    if byAge {
      ready[line].putBack(number) { [store] in store[$0]?.state != .queued }
    } else {
      ready[line].append(number)
    }
  }
}
