/// Names a request that waits for an answer; made and understood by the shell only.
public typealias RequestID = UInt64

/// Names one attempt at one worker; never used twice in one run of the service.
///
/// It carries its slot, so that an answer finds its call without a search: 40 bits of serial
/// number, 8 of pool, 16 of slot.
public struct CallID: Hashable, Sendable {
  /// The number that travels to the worker and back.
  public let rawValue: UInt64

  /// Takes back a number that came from a worker; it may be nonsense.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The call with a serial number, at a slot.
  init(serial: UInt64, slot: SlotID) {
    precondition(slot.pool < 1 << 8 && slot.index < 1 << 16, "too many pools or slots")
    rawValue = serial << 24 | UInt64(slot.pool) << 16 | UInt64(slot.index)
  }

  /// The slot that holds it.
  public var slot: SlotID {
    SlotID(pool: Int(rawValue >> 16 & 0xFF), index: Int(rawValue & 0xFFFF))
  }
}

/// A place in a pool that is kept filled with a worker, and outlives its workers.
public struct SlotID: Hashable, Sendable {
  /// The pool's position in the order of configuration.
  public let pool: Int
  /// The slot's position in its pool.
  public let index: Int

  /// Makes a slot's name.
  public init(pool: Int, index: Int) {
    self.pool = pool
    self.index = index
  }
}

/// Names one pool; never used twice in one run of the service.
///
/// Its position is given to another one when it is gone. What is still on its way from or to it by
/// then, because the disk is slow, must not be taken for the other's.
public struct PoolID: Hashable, Sendable {
  /// The position among the pools, configured ones first.
  public let index: Int
  /// How many pools had the position before.
  public let serial: Int

  /// Makes a pool's name.
  public init(_ index: Int, serial: Int = 0) {
    self.index = index
    self.serial = serial
  }
}

/// A fact that happened. The engine never refuses one: it decides what follows from it.
public enum Event: Equatable, Sendable {
  // Clients.
  /// Somebody asks for a call of a task.
  case submissionReceived(Submission, request: RequestID)
  /// A submission was accepted, but its record could not be written and nobody was told: its client
  /// hears `readOnly` instead, so the job is dropped. To come before its dispatch is performed, and
  /// the one event that makes records while the journal takes none: they follow the submission's.
  case submissionWithdrawn(JobNumber)
  /// Somebody asks that a job be ended; its worker gets `grace` between SIGTERM and SIGKILL.
  case cancelReceived(JobNumber, grace: Milliseconds, request: RequestID)
  /// Somebody asks that a final job be dropped.
  case forgetReceived(JobNumber, request: RequestID)

  // Clients and their maps.
  /// Somebody asks for a call of a task over many items.
  indirect case mapReceived(MapSubmission, request: RequestID)
  /// Items of a map came that are to be run. Those of a map that takes none any more are dropped.
  case itemsReceived(MapNumber, [ChunkInput])
  /// No more items of a map will come; `error` says why some are missing.
  case inputEnded(MapNumber, InputError?, request: RequestID?)
  /// A reader of a map has been sent so many lines in its order, and has surely received so many.
  case resultsTaken(MapNumber, MapOrder, sent: Int, received: Int)
  /// Somebody asks that a map be ended: what waits is dropped, what runs is ended as by
  /// `cancelReceived`.
  case mapCancelReceived(MapNumber, grace: Milliseconds, request: RequestID)
  /// Somebody asks that a final map be dropped.
  case mapForgetReceived(MapNumber, request: RequestID)

  // Clients and their pools, by name.
  /// Somebody asks for a pool of his own.
  indirect case poolCreateReceived(PoolSpecification, request: RequestID)
  /// Somebody asks that a pool keep another number of workers (nil: as many as now), or start no
  /// jobs, or start them again (nil: as now).
  case poolChangeReceived(String, processes: Int?, isPaused: Bool?, request: RequestID)
  /// Somebody asks that a pool take no more jobs.
  case poolCloseReceived(String, request: RequestID)
  /// Somebody asks that a pool end with all that it has.
  case poolTerminateReceived(String, request: RequestID)
  /// A request names this pool, and waits for it if it `isWaiting`; then
  /// `poolLeft` is to follow.
  case poolAttended(pool: PoolID, isWaiting: Bool)
  /// A request waits for this pool no longer.
  case poolLeft(pool: PoolID)

  // Workers. What a pool tells that is no more is dropped.
  /// All workers of a pool that is being created are ready.
  case poolStarted(pool: PoolID)
  /// The last worker of a pool that was told to end, or broke, is gone.
  case poolEnded(pool: PoolID)
  /// A pool's worker told which tasks it knows: its first one, or a later one that knows others. If
  /// it `isDynamic`, it runs tasks as well that it does not name.
  case poolAnnounced(pool: PoolID, tasks: [String], isDynamic: Bool = false)
  /// A pool gave up: its workers cannot be made ready.
  case poolBroke(pool: PoolID, reason: String)
  /// A slot has a worker, which may hold `credit` calls at once.
  case slotReady(SlotID, credit: Int, pid: Int32)
  /// A slot has no worker, or one that takes no more calls.
  case slotGone(SlotID)
  /// A call that runs told how far it is.
  case callProgressed(CallID, Progress)
  /// A call ended with a value: minified JSON text.
  case callReturned(CallID, result: String)
  /// A call ended with bytes of a media type.
  indirect case callReturnedBytes(CallID, BytesResult)
  /// A call passed one of its task's limits; its worker still runs.
  case callPassedLimit(CallID, PassedLimit)
  /// A call ended with an error that the task threw; boxed, as it is rare and large.
  indirect case callRaised(CallID, RaisedError)
  /// A call will not be answered. Its slot's credit must have been told before (`slotGone`, or
  /// `slotReady` with less): the job that is given back goes to the first slot that takes it.
  case callLost(CallID, Loss)

  // The service.
  /// The clock reached `nextDeadline`.
  case timePassed
  /// The journal takes no records (`false`), or takes them again (`true`).
  case storageChanged(isWritable: Bool)
  /// The service is to end: take no more work, let what runs finish.
  case drainRequested
  /// The grace of the drain is over: what is lost from now on was cut off by the shutdown.
  case drainGraceEnded
}

/// An error that a task threw, as the worker tells it.
public struct RaisedError: Equatable, Sendable {
  /// `raised`, `argument_decoding` or `result_encoding`.
  public var code: JobError.Code
  /// The error's type.
  public var type: String
  /// A sentence for people.
  public var message: String
  /// Where it was thrown, if known; of a program, the end of what it wrote to standard error.
  public var traceback: String?
  /// What the error was made with: the text of a JSON array.
  public var args: String?
  /// Where its type is defined.
  public var module: String?
  /// The error itself in the pickle of Python, in base64.
  public var pickle: String?
  /// The item of a chunk that failed, from 0; nil for anything else.
  public var item: Int?
  /// What the items before it returned: the text of a JSON array.
  public var values: String?
  /// Python's `exitcode`, where the error is the end of a program.
  public var exitcode: Int32?

  /// Makes an error.
  public init(
    code: JobError.Code = .raised, type: String, message: String, traceback: String? = nil,
    exitcode: Int32? = nil, item: Int? = nil, values: String? = nil
  ) {
    self.code = code
    self.type = type
    self.message = message
    self.traceback = traceback
    self.exitcode = exitcode
    self.item = item
    self.values = values
  }
}

/// Why a call will not be answered.
public enum Loss: Equatable, Sendable {
  /// The worker ended before it came to this call.
  case notStarted
  /// The worker ended while it ran this call, with Python's `exitcode` (-N for signal N).
  case workerExited(exitcode: Int32)
  /// The system killed its worker because it ran out of memory.
  case outOfMemory(exitcode: Int32)
  /// The program that was the call failed, or could not be started.
  indirect case programFailed(RaisedError)
  /// The worker did what it must not, and was ended; the text is a sentence that says what.
  case protocolBroken(String)
  /// The worker was cut off through no fault of the job (its fork server died).
  case interrupted
}

/// A limit of a task that a call has passed.
public enum PassedLimit: Equatable, Sendable {
  /// CPU time, in microseconds.
  case cpu(limit: UInt64, used: UInt64)
  /// Memory, in bytes.
  case memory(limit: UInt64, used: UInt64)
}
