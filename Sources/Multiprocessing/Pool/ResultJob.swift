/// A job with one result at the end: what `apply` and `map` make.
final class ResultJob<Output: Sendable>: PoolJob {
  /// What is called with how it ended, before anybody else can see that.
  struct Callbacks {
    let success: (@Sendable (Output) throws -> Void)?
    let failure: (@Sendable (any Error) throws -> Void)?
  }

  private struct State {
    var chunksLeft: Int
    /// By chunk; emptied once they are decoded.
    var texts: [String]
    /// Of the chunk that failed first.
    var failure: ChunkOutcome?
    var value: Result<Output, any Error>?
    var isFinal = false
    var waiters: [Parker] = []
  }

  private let state: Mutex<State>
  private let callbacks: Callbacks?
  private let coders: [ErrorCoder]
  private let decode: @Sendable ([String]) throws -> Output

  /// A job of so many chunks. `decode` makes the result of theirs.
  init(
    chunks: Int, _ coders: [ErrorCoder], callbacks: Callbacks?,
    decode: @escaping @Sendable ([String]) throws -> Output
  ) {
    let texts = [String](repeating: "", count: chunks)
    state = Mutex(State(chunksLeft: chunks, texts: texts, isFinal: chunks == 0))
    self.coders = coders
    self.callbacks = callbacks
    self.decode = decode
  }

  // MARK: The pool's side

  func chunkEnded(_ chunk: Int, _ outcome: ChunkOutcome) -> Bool {
    let (isDue, waiters): (Bool, [Parker]) = state.withLock { state in
      guard !state.isFinal, state.chunksLeft > 0 else { return (false, []) }
      if case .returned(let text) = outcome {
        state.texts[chunk] = text
      } else if state.failure == nil {
        state.failure = outcome
      }
      state.chunksLeft -= 1
      guard state.chunksLeft == 0 else { return (false, []) }
      if state.failure != nil { state.texts = [] }
      guard callbacks == nil else { return (true, []) }
      return (false, Self.end(&state))
    }
    for waiter in waiters { waiter.unpark() }
    return isDue
  }

  func runCallbacks() {
    let value = decoded()
    do {
      switch value {
      case .success(let output): try callbacks?.success?(output)
      case .failure(let error):
        do {
          try callbacks?.failure?(error)
        } catch let second {
          throw CallbackError(error: second, original: error)
        }
      }
      end(nil)
    } catch {
      end(error)
    }
  }

  func abandon(_ error: any Error) {
    end(error)
  }

  private func end(_ error: (any Error)?) {
    var held: (Result<Output, any Error>?, [String], ChunkOutcome?)?
    let waiters = state.withLock { state in
      guard !state.isFinal else { return [Parker]() }
      if let error {
        held = (state.value, state.texts, state.failure)
        (state.value, state.texts, state.failure) = (.failure(error), [], nil)
      }
      return Self.end(&state)
    }
    for waiter in waiters { waiter.unpark() }
    _ = consume held  // Outside the lock, as in `forget`.
  }

  private static func end(_ state: inout State) -> [Parker] {
    state.isFinal = true
    defer { state.waiters = [] }
    return state.waiters
  }

  // MARK: The caller's side

  /// Whether it has ended.
  var isFinal: Bool { state.withLock { $0.isFinal } }

  /// Waits until it has ended; returns false if `deadline` was first.
  func wait(until deadline: Deadline) -> Bool {
    let parker: Parker? = state.withLock { state in
      if state.isFinal { return nil }
      let parker = Parker()
      state.waiters.append(parker)
      return parker
    }
    guard let parker else { return true }
    if parker.park(until: deadline) { return true }
    return state.withLock { state in
      state.waiters.removeAll { $0 === parker }
      return state.isFinal
    }
  }

  /// How all its chunks ended, in the types of this process. Decoded by the first who asks.
  func decoded() -> Result<Output, any Error> {
    let (value, texts, failure) = state.withLock { ($0.value, $0.texts, $0.failure) }
    if let value { return value }
    let made = Result { () throws -> Output in
      if let error = failure?.error(coders) { throw error }
      return try decode(texts)
    }
    return state.withLock { state in
      if let value = state.value { return value }
      state.value = made
      state.texts = []
      state.failure = nil
      return made
    }
  }

  /// Nobody will ask any more: what it holds goes now, and not when the pool's threads have let go
  /// of the job.
  func forget() {
    let held: (Result<Output, any Error>?, [String], ChunkOutcome?)? = state.withLock { state in
      guard state.isFinal else { return nil }
      defer { (state.value, state.texts, state.failure) = (nil, [], nil) }
      return (state.value, state.texts, state.failure)
    }
    _ = consume held  // Outside the lock: it may run the user's own deinit.
  }
}
