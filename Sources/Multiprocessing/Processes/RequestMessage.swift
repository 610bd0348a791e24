import CPlatform

/// A request as the C loop reads it (`forkserver.h`), built in one buffer.
struct RequestMessage {
  private(set) var bytes: [UInt8] = []

  /// Asks for a process.
  init(starting specification: ProcessSpecification, token: ProcessToken) {
    var request = lido_request()
    request.token = token.rawValue
    request.nice = specification.nice
    request.oom_score_adjust = specification.outOfMemoryAdjustment
    request.limit_count = UInt32(specification.limits.count)
    request.lingers = specification.lingers ? 1 : 0
    request.survives = specification.survivesForkServer ? 1 : 0
    request.is_batch = specification.isBatch ? 1 : 0
    request.descriptor_count = UInt32(specification.descriptors.count)
    switch specification.program {
    case .fork(let entry):
      request.kind = LIDO_REQUEST_FORK.rawValue
      request.entry = entry.code
      request.payload_length = UInt32(entry.payload.count)
    case .exec(_, let arguments, let environment):
      request.kind = LIDO_REQUEST_EXEC.rawValue
      request.argument_count = UInt32(arguments.count)
      request.text_count = UInt32(2 + arguments.count + environment.count)
    }
    append(request)
    for limit in specification.limits {
      append(
        lido_limit(soft: limit.soft, hard: limit.hard, resource: limit.resource, reserved: 0))
    }
    for descriptor in specification.descriptors { append(descriptor.target) }
    switch specification.program {
    case .fork(let entry):
      bytes += entry.payload
    case .exec(let path, let arguments, let environment):
      append(text: specification.workingFolder ?? "")
      append(text: path)
      for argument in arguments { append(text: argument) }
      for variable in environment { append(text: variable) }
    }
  }

  /// Asks for a signal to the process group of a child.
  init(signalling token: ProcessToken, number: Int32) {
    var request = lido_request()
    request.token = token.rawValue
    request.kind = LIDO_REQUEST_SIGNAL.rawValue
    request.signal_number = number
    append(request)
  }

  /// Asks it to hold the descriptor that goes with this.
  static var hold: RequestMessage {
    var message = RequestMessage()
    var request = lido_request()
    request.kind = LIDO_REQUEST_HOLD.rawValue
    request.descriptor_count = 1
    message.append(request)
    message.append(Int32(0))  // A target: it has none.
    return message
  }

  /// Asks for a sign of life.
  static var ping: RequestMessage {
    var message = RequestMessage()
    var request = lido_request()
    request.kind = LIDO_REQUEST_PING.rawValue
    message.append(request)
    return message
  }

  private init() {}

  private mutating func append<Value: BitwiseCopyable>(_ value: Value) {
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }

  /// A NUL inside a string would make two of it: it ends there, as it would for `execve`.
  private mutating func append(text: String) {
    bytes.append(contentsOf: text.utf8.prefix { $0 != 0 })
    bytes.append(0)
  }
}
