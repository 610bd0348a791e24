/// A pool as a client asks for it: the kind of worker of a configured one, under a name of its own.
public struct PoolSpecification: Equatable, Sendable {
  /// Its name; empty: the engine makes one.
  public var name: String
  /// The configured pool whose kind of worker it takes.
  public var template: String
  /// How many workers it keeps, from 1.
  public var processes: Int
  /// Calls after which a worker is replaced; nil: never.
  public var callsPerWorkerMax: Int?
  /// How workers are started, by the name that the shell has for it; nil: as those of the template.
  public var startMethod: String?
  /// What each worker runs before it is ready, by a name that means something to it; nil: nothing.
  public var initializer: String?
  /// What that is called with: the text of a JSON array.
  public var initializerArguments: String
  /// The path of the script that the initializer is in.
  public var main: String?
  /// Whether values may travel in the pickle of Python.
  public var allowsPickle: Bool
  /// How long, in milliseconds, no request may name it until it is ended; nil: for ever.
  public var idleTimeout: Milliseconds?
  /// The client's key for "the same request", unique among the pools that there are.
  public var idempotencyKey: String?

  /// Makes a specification; what is left out has the API's default.
  public init(
    name: String = "", template: String, processes: Int, callsPerWorkerMax: Int? = nil,
    startMethod: String? = nil, initializer: String? = nil, initializerArguments: String = "[]",
    main: String? = nil, allowsPickle: Bool = false, idleTimeout: Milliseconds? = nil,
    idempotencyKey: String? = nil
  ) {
    self.name = name
    self.template = template
    self.processes = processes
    self.callsPerWorkerMax = callsPerWorkerMax
    self.startMethod = startMethod
    self.initializer = initializer
    self.initializerArguments = initializerArguments
    self.main = main
    self.allowsPickle = allowsPickle
    self.idleTimeout = idleTimeout
    self.idempotencyKey = idempotencyKey
  }
}

/// What is durable of a pool that a client created.
public struct CreatedPool: Equatable, Sendable {
  /// How far it is; what else it goes through is over with the service that it happens in.
  public enum Stage: String, CaseIterable, Sendable {
    /// It takes jobs.
    case running
    /// It takes no more, and runs those that it has.
    case closing
    /// Its jobs end, and so do its workers.
    case terminating
  }

  /// What was asked for.
  public var specification: PoolSpecification
  /// When it was ready for the first time.
  public var createdAt: Timestamp
  /// The number of the first job, or map, that could be its: those before are of earlier pools of
  /// its name.
  public var firstNumber: JobNumber = 1
  /// How many workers it keeps by now.
  public var processes: Int
  /// Whether it starts no jobs for the time being.
  public var isPaused = false
  /// How far it is.
  public var stage = Stage.running
  /// Why it was terminated, if nobody asked for that.
  public var cause: String?

  /// A pool that has just been created.
  public init(
    _ specification: PoolSpecification, at timestamp: Timestamp, firstNumber: JobNumber = 1
  ) {
    self.specification = specification
    createdAt = timestamp
    processes = specification.processes
    self.firstNumber = firstNumber
  }

  /// Its name.
  public var name: String { specification.name }
}

/// What a record does to a created pool: one for each kind that is about one which is there.
public enum PoolMove: String, CaseIterable, Sendable {
  /// It keeps another number of workers.
  case resized
  /// It starts no more jobs.
  case paused
  /// It starts jobs again.
  case resumed
  /// It takes no more jobs.
  case closed
  /// Its jobs and its workers end.
  case terminated
  /// It is dropped.
  case removed
}

extension CreatedPool.Stage {
  /// Every legal move; a pair that is not here cannot happen. A test walks all pairs. A running
  /// pool is dropped only where a configured one has taken its name.
  public static let moves: [(from: CreatedPool.Stage, move: PoolMove)] = [
    (.running, .resized), (.closing, .resized),
    (.running, .paused), (.closing, .paused),
    (.running, .resumed), (.closing, .resumed),
    (.running, .closed),
    (.running, .terminated), (.closing, .terminated),
    (.running, .removed), (.closing, .removed), (.terminating, .removed),
  ]

  /// Whether a pool in this stage can be moved so.
  func allows(_ move: PoolMove) -> Bool {
    CreatedPool.Stage.moves.contains { $0.from == self && $0.move == move }
  }
}

extension CreatedPool {
  /// Whether it keeps another one of this specification from being created: a name, and a key, is
  /// one pool's.
  func excludes(_ other: PoolSpecification) -> Bool {
    let key = other.idempotencyKey
    return name == other.name || key != nil && specification.idempotencyKey == key
  }
}
