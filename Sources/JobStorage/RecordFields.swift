internal import JSON
internal import JobCore

/// The values of an object's members as they are read; only those in `seen` mean anything, the
/// others are left from the object before.
struct RecordFields {
  /// Which members the object has.
  private(set) var seen: MemberSet = []
  /// What is wrong with the object; nil: nothing.
  private(set) var fault: String?

  /// The job.
  private(set) var job: JobNumber = 0
  /// The job's id.
  private(set) var id = JobID(version7At: 0, random: (0, 0))
  /// The task's name.
  private(set) var task = ""
  /// The pool's name.
  private(set) var pool = ""
  /// When it happened.
  private(set) var at: Timestamp = 0
  /// Arguments, as JSON text.
  private(set) var args = ""
  /// The attempt's number.
  private(set) var attempt = 0
  /// Why it was revoked.
  private(set) var reason = Revocation.notStarted
  /// How it failed.
  private(set) var error = JobError(code: .raised, type: "", message: "", attempt: 0)
  /// When the next attempt is due.
  private(set) var retryAt: Timestamp = 0
  /// The value, as JSON text.
  private(set) var result = ""
  /// The media type of a result that is bytes.
  private(set) var contentType = ""
  /// A snapshot job's state.
  private(set) var state = JobState.queued
  /// A snapshot job's version.
  private(set) var version: UInt32 = 0
  /// A snapshot job's losses.
  private(set) var losses = 0
  /// `cancel_requested`.
  private(set) var isCancelRequested = false
  /// `started_at`.
  private(set) var startedAt: Timestamp = 0
  /// `ended_at`.
  private(set) var endedAt: Timestamp = 0
  /// `due_at`.
  private(set) var dueAt: Timestamp = 0
  /// The map.
  private(set) var map: MapNumber = 0
  /// A snapshot chunk's `line`.
  private(set) var line = 0

  private var first = 0
  private var count = 0
  private var chunkSize = 0
  private var total = 0
  private var inputError = InputError(.brokenOff, "")
  private var inputEndedAt: Timestamp = 0
  private var released = ItemCounts()
  private var releasedChunks = 0
  /// `processes`.
  private(set) var processes = 0
  private var poolFields = PoolFields()
  /// The version of the journal's format that the object is read in.
  private var formatVersion = RecordCodec.version

  private var kwargs = ""
  private var timeout: Milliseconds = 0
  private var attemptsMax = 0
  private var onInterrupt = OnInterrupt.requeue
  private var tags: [String] = []
  private var idempotencyKey = ""
  private var encoding = Encoding.json
  private var main = ""

  /// Reads an object of this shape; a member that does not belong, comes twice or is missing, and
  /// a value that cannot be, is the fault.
  mutating func read(
    _ reader: inout JSONReader, _ shape: RecordShape, _ version: Int
  ) throws(JSONError) {
    seen = []
    fault = nil
    formatVersion = version
    var place = 0
    try reader.beginObject()
    while let name = try reader.nextMember() {
      guard let index = shape.index(of: name, from: place) else {
        fault = "\(shape.name) has no member \"\(name)\""
        continue
      }
      let member = shape.members[index]
      if seen.contains(member) { fault = "\"\(name)\" stands twice" }
      seen.formUnion(MemberSet(member))
      try read(&reader, member)
      place = index + 1
    }
    let missing = shape.required.subtracting(seen)
    if fault == nil, seen.contains(.contentType), !seen.contains(.result) {
      fault = "\(shape.name) has a \"content_type\" without a \"result\""
    }
    let chunk = shape.kind == .jobSubmitted || shape.kind == .snapshotJob ? RecordShape.chunk : []
    if fault == nil, ![[], chunk].contains(seen.intersection(chunk)) {
      fault = "\(shape.name) has not all of \(chunk.names)"
    }
    if fault == nil, !missing.isEmpty { fault = "\(shape.name) lacks \(missing.names)" }
  }

  private mutating func read(_ reader: inout JSONReader, _ member: Member) throws(JSONError) {
    switch member {
    case .job: job = JobNumber(try number(&reader, 1...Int.max, member))
    case .id: id = try word(&reader, member, JobID.init(_:)) ?? id
    case .task: task = try reader.readString()
    case .pool: pool = try reader.readString()
    case .at: at = try timestamp(&reader)
    case .args: args = try reader.readText()
    case .attempt: attempt = try number(&reader, 1...Int.max, member)
    case .result: result = try reader.readText()
    case .contentType: contentType = try reader.readString()
    case .error: try readError(&reader)
    case .reason: reason = try word(&reader, member, Revocation.init(rawValue:)) ?? reason
    case .retryAt: retryAt = try timestamp(&reader)
    case .cancelled: try readTrue(&reader, member)
    case .kwargs, .timeout, .attemptsMax, .onInterrupt, .tags, .idempotencyKey, .encoding, .main:
      try readOption(&reader, member)
    case .state, .version, .losses, .cancelRequested, .startedAt, .endedAt, .dueAt:
      try readProgress(&reader, member)
    case .map: map = MapNumber(try number(&reader, 1...Int.max, member))
    case .first, .count, .chunkSize, .star, .total, .inputError, .line, .inputEndedAt,
      .releasedChunks, .releasedSucceeded, .releasedFailed, .releasedSkipped:
      try readOfMap(&reader, member)
    case .template, .processes, .callsMax, .startMethod, .initializer, .initargs, .allowPickle,
      .idleTimeout, .cause, .paused, .stage, .createdProcesses:
      try readOfPool(&reader, member)
    }
  }

  private mutating func readOfPool(
    _ reader: inout JSONReader, _ member: Member
  ) throws(JSONError) {
    let counts = 1...Int(UInt16.max)
    switch member {
    case .template: poolFields.template = try reader.readString()
    case .processes: processes = try number(&reader, counts, member)
    case .createdProcesses: poolFields.createdProcesses = try number(&reader, counts, member)
    case .callsMax: poolFields.callsMax = try number(&reader, 1...Int.max, member)
    case .startMethod: poolFields.startMethod = try reader.readString()
    case .initializer: poolFields.initializer = try reader.readString()
    case .initargs: poolFields.initargs = try reader.readText()
    case .idleTimeout:
      poolFields.idleTimeout = Milliseconds(try number(&reader, 1...Int.max, member))
    case .cause: poolFields.cause = try reader.readString()
    case .stage:
      let stage = try word(&reader, member, CreatedPool.Stage.init(rawValue:))
      poolFields.stage = stage ?? .running
    default: try readTrue(&reader, member)
    }
  }

  private mutating func readOfMap(
    _ reader: inout JSONReader, _ member: Member
  ) throws(JSONError) {
    let counts = 0...Int(UInt32.max)
    // Sums of them must fit into an integer.
    let items = 0...1 << 48
    switch member {
    case .first: first = try number(&reader, items, member)
    case .count: count = try number(&reader, 1...Int(UInt32.max), member)
    case .chunkSize: chunkSize = try number(&reader, counts, member)
    case .star: try readTrue(&reader, member)
    case .total: total = try number(&reader, items, member)
    case .line: line = try number(&reader, items, member)
    case .inputEndedAt: inputEndedAt = try timestamp(&reader)
    case .inputError: try readInputError(&reader)
    case .releasedChunks: releasedChunks = try number(&reader, items, member)
    case .releasedSucceeded: released.succeeded = try number(&reader, items, member)
    case .releasedFailed: released.failed = try number(&reader, items, member)
    default: released.skipped = try number(&reader, items, member)
    }
  }

  private mutating func readInputError(_ reader: inout JSONReader) throws(JSONError) {
    var parts: Set<String> = []
    try reader.beginObject()
    while let name = try reader.nextMember() {
      if !parts.insert(name).inserted { fault = "\"\(name)\" of the error stands twice" }
      switch name {
      case "code":
        let code = try word(&reader, .inputError, InputError.Code.init(rawValue:))
        inputError.code = code ?? .brokenOff
      case "message": inputError.message = try reader.readString()
      default: fault = "an error has no member \"\(name)\""
      }
    }
    if fault == nil, parts != ["code", "message"] {
      fault = "an error lacks one of \"code\", \"message\""
    }
  }

  private mutating func readOption(
    _ reader: inout JSONReader, _ member: Member
  ) throws(JSONError) {
    switch member {
    case .kwargs: kwargs = try reader.readText()
    case .timeout: timeout = Milliseconds(try reader.readInt())
    case .attemptsMax: attemptsMax = try reader.readInt()
    case .onInterrupt:
      onInterrupt = try word(&reader, member, OnInterrupt.init(rawValue:)) ?? onInterrupt
    case .idempotencyKey: idempotencyKey = try reader.readString()
    case .encoding: encoding = try word(&reader, member, Encoding.init(rawValue:)) ?? encoding
    case .main: main = try reader.readString()
    default:
      tags.removeAll()
      try reader.beginArray()
      while try reader.nextElement() { tags.append(try reader.readString()) }
    }
  }

  private mutating func readProgress(
    _ reader: inout JSONReader, _ member: Member
  ) throws(JSONError) {
    switch member {
    case .state: state = try word(&reader, member, JobState.init(rawValue:)) ?? state
    // Each record to come adds one.
    case .version: version = UInt32(try number(&reader, 1...Int(UInt32.max / 2), member))
    case .losses: losses = try number(&reader, 1...Int(UInt8.max), member)
    case .cancelRequested:
      try readTrue(&reader, member)
      isCancelRequested = true
    case .startedAt: startedAt = try timestamp(&reader)
    case .endedAt: endedAt = try timestamp(&reader)
    default: dueAt = try timestamp(&reader)
    }
  }

  /// An error's own members are few and errors are rare: plain and not fast.
  private mutating func readError(_ reader: inout JSONReader) throws(JSONError) {
    var parts: Set<String> = []
    error = JobError(code: .raised, type: "", message: "", attempt: 0)
    try reader.beginObject()
    while let name = try reader.nextMember() {
      if !parts.insert(name).inserted { fault = "\"\(name)\" of the error stands twice" }
      switch name {
      case "code": error.code = try word(&reader, .error, JobError.Code.init(rawValue:)) ?? .raised
      case "type": error.type = try reader.readString()
      case "message": error.message = try reader.readString()
      case "traceback": error.traceback = try reader.readString()
      case "args" where formatVersion >= 3: error.args = try reader.readText()
      case "module" where formatVersion >= 3: error.module = try reader.readString()
      case "pickle" where formatVersion >= 3: error.pickle = try reader.readString()
      case "exitcode":
        error.exitcode = Int32(try number(&reader, Int(Int32.min)...Int(Int32.max), .error))
      case "attempt": error.attempt = try reader.readInt()
      case "item" where formatVersion >= 3:
        error.item = try number(&reader, 0...Int(UInt32.max), .error)
      case "values" where formatVersion >= 3: error.values = try reader.readText()
      default: fault = "an error has no member \"\(name)\""
      }
    }
    if fault == nil, !parts.isSuperset(of: ["code", "type", "message", "attempt"]) {
      fault = "an error lacks one of \"code\", \"type\", \"message\", \"attempt\""
    }
  }

  private mutating func number(
    _ reader: inout JSONReader, _ range: ClosedRange<Int>, _ member: Member
  ) throws(JSONError) -> Int {
    let number = try reader.readInt()
    if range.contains(number) { return number }
    fault = "\"\(member.name)\" cannot be \(number)"
    return range.lowerBound
  }

  private func timestamp(_ reader: inout JSONReader) throws(JSONError) -> Timestamp {
    Timestamp(try reader.readInt())
  }

  private mutating func word<Word>(
    _ reader: inout JSONReader, _ member: Member, _ make: (String) -> Word?
  ) throws(JSONError) -> Word? {
    let text = try reader.readString()
    let word = make(text)
    if word == nil { fault = "\"\(member.name)\" cannot be \"\(text)\"" }
    return word
  }

  private mutating func readTrue(
    _ reader: inout JSONReader, _ member: Member
  ) throws(JSONError) {
    if try !reader.readBool() { fault = "\"\(member.name)\" can only be true" }
  }
}

extension RecordFields {
  /// The submission that was read.
  var submission: JobSubmitted {
    JobSubmitted(
      number: job, id: id, task: task, pool: pool, args: args, options: options, at: at)
  }

  private var options: JobOptions? {
    let isChunk = seen.isSuperset(of: RecordShape.chunk)
    guard isChunk || !seen.isDisjoint(with: RecordShape.options) else { return nil }
    return JobOptions(
      kwargs: seen.contains(.kwargs) ? kwargs : "",
      timeout: seen.contains(.timeout) ? timeout : nil,
      attemptsMax: seen.contains(.attemptsMax) ? attemptsMax : 1,
      onInterrupt: seen.contains(.onInterrupt) ? onInterrupt : .requeue,
      tags: seen.contains(.tags) ? tags : [],
      idempotencyKey: seen.contains(.idempotencyKey) ? idempotencyKey : nil,
      encoding: seen.contains(.encoding) ? encoding : .json,
      main: seen.contains(.main) ? main : nil,
      chunk: isChunk ? ChunkPlace(map: map, first: first, count: count) : nil)
  }

  /// The map that was read.
  var mapCreated: MapCreated {
    MapCreated(
      number: map, id: id, task: task, pool: pool, isStar: seen.contains(.star),
      chunkSize: chunkSize, total: seen.contains(.total) ? total : nil, options: options, at: at)
  }

  /// Why items are missing, if some are.
  var endOfInput: InputError? { seen.contains(.inputError) ? inputError : nil }

  /// The map of a snapshot that was read.
  var restoredMap: RestoredMap {
    var restored = RestoredMap(created: mapCreated)
    restored.version = version
    restored.isCancelRequested = seen.contains(.cancelRequested)
    restored.inputEndedAt = seen.contains(.inputEndedAt) ? inputEndedAt : 0
    restored.inputError = endOfInput
    restored.finishedAt = seen.contains(.endedAt) ? endedAt : 0
    restored.releasedChunks = seen.contains(.releasedChunks) ? releasedChunks : 0
    restored.releasedItems.succeeded =
      seen.contains(.releasedSucceeded) ? released.succeeded : 0
    restored.releasedItems.failed = seen.contains(.releasedFailed) ? released.failed : 0
    restored.releasedItems.skipped = seen.contains(.releasedSkipped) ? released.skipped : 0
    if seen.contains(.error), seen.contains(.first) {
      restored.releasedError = ChunkError(error, first: first)
    }
    return restored
  }
}

/// What only pools have.
private struct PoolFields {
  var template = ""
  var callsMax = 0
  var startMethod = ""
  var initializer = ""
  var initargs = ""
  var idleTimeout: Milliseconds = 0
  var cause = ""
  var stage = CreatedPool.Stage.running
  var createdProcesses = 0
}

extension RecordFields {
  /// The pool that was read, as it was created.
  var poolSpecification: PoolSpecification {
    PoolSpecification(
      name: pool, template: poolFields.template,
      processes: seen.contains(.createdProcesses) ? poolFields.createdProcesses : processes,
      callsPerWorkerMax: seen.contains(.callsMax) ? poolFields.callsMax : nil,
      startMethod: seen.contains(.startMethod) ? poolFields.startMethod : nil,
      initializer: seen.contains(.initializer) ? poolFields.initializer : nil,
      initializerArguments: seen.contains(.initargs) ? poolFields.initargs : "[]",
      main: seen.contains(.main) ? main : nil, allowsPickle: seen.contains(.allowPickle),
      idleTimeout: seen.contains(.idleTimeout) ? poolFields.idleTimeout : nil,
      idempotencyKey: seen.contains(.idempotencyKey) ? idempotencyKey : nil)
  }

  /// Why the pool was terminated, if nobody asked for it.
  var poolCause: String? { seen.contains(.cause) ? poolFields.cause : nil }

  /// The pool of a snapshot that was read.
  var createdPool: CreatedPool {
    var created = CreatedPool(
      poolSpecification, at: at, firstNumber: seen.contains(.first) ? JobNumber(first) : 1)
    created.processes = processes
    created.isPaused = seen.contains(.paused)
    created.stage = seen.contains(.stage) ? poolFields.stage : .running
    created.cause = poolCause
    return created
  }
}

extension RecordShape {
  /// The place of the member with this name in `members`, looked for from `start` on and then from
  /// the front.
  @inline(__always)
  fileprivate func index(of name: String, from start: Int) -> Int? {
    for index in start..<max(start, names.count) where names[index] == name { return index }
    for index in 0..<min(start, names.count) where names[index] == name { return index }
    return nil
  }
}
