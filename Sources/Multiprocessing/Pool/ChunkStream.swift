import Glibc

/// The machine of a `PoolIterator`: input on one side, chunks in order or as they come on the
/// other.
///
/// The input has a thread of its own. It may wait for whatever it likes, for what becomes of an
/// earlier result as well, and delays nobody who asks for results.
final class ChunkStream<Output: Codable & Sendable>: PoolStream {
  /// A chunk of arguments.
  struct Chunk {
    let arguments: [UInt8]
    let items: Int
  }

  private struct Input {
    var isAtEnd = false
    /// How many wait for all of it to be taken in: then there is no bound.
    var hurries = 0
    /// Whether its thread waits for room.
    var isWaiting = false
  }

  private struct Arrived {
    var outputs: [Output] = []
    var next = 0
  }

  private let core: PoolCore
  private let job: StreamJob
  private let task: String
  private let codec: ArrayCodec<Output>
  private let coders: [ErrorCoder]
  /// How many chunks are taken in ahead of what was handed on.
  private let window: Int
  /// Its thread is woken when so many are left of these: not for each one, if there are many.
  private let lowMark: Int
  private let input = Mutex(Input())
  /// Where the thread of the input waits for room.
  private let room = Parker()
  private let arrived = Mutex(Arrived())

  init<Argument>(
    _ core: PoolCore, _ task: TaskDefinition<Argument, Output>, ordered: Bool, window: Int
  ) {
    self.core = core
    job = StreamJob(ordered: ordered)
    self.task = task.name
    codec = task.outputCodec
    coders = task.errorCoders
    self.window = window
    lowMark = window - max(1, window / 4)
  }

  /// Begins to take in as much as there is room for.
  ///
  /// `pull` answers the next chunk of arguments, encoded; nil: there are no more. It throws what
  /// the input does. It is called by one thread, which is not the caller's.
  func begin(_ pull: @escaping () throws -> Chunk?) throws {
    try core.openStream(self)
    // reason: from here on it belongs to the thread of the input.
    nonisolated(unsafe) let pull = pull
    do throws(SystemCallError) {
      try core.startInput { [self] in takeIn(pull) }
    } catch {
      endInput()
      throw error
    }
  }

  // MARK: The input

  private func takeIn(_ pull: () throws -> Chunk?) {
    var itemsTaken = 0
    while waitForRoom() {
      do {
        guard let chunk = try pull() else { return end(nil) }
        submit(chunk, after: itemsTaken)
        itemsTaken += chunk.items
      } catch {
        return end(error)
      }
    }
  }

  /// Waits until another chunk is to be taken in; false if none is any more.
  private func waitForRoom() -> Bool {
    while true {
      let answer: Bool? = input.withLock { input in
        if input.isAtEnd { return false }
        if input.hurries > 0 || job.outstanding < window { return true }
        input.isWaiting = true
        return nil
      }
      if let answer { return answer }
      room.park()
    }
  }

  private func submit(_ chunk: Chunk, after itemsTaken: Int) {
    let items = itemsTaken..<itemsTaken + chunk.items
    // None if the iterator or the pool went meanwhile.
    guard let number = job.willSubmit(items: chunk.items) else { return }
    do throws(PoolError) {
      try core.submit(
        [
          PoolCall(
            job: job, chunk: number, task: task, items: items, arguments: chunk.arguments)
        ],
        ofStream: true)
    } catch {
      _ = job.chunkEnded(number, .failed(error))
      end(nil)
    }
  }

  private func end(_ error: (any Error)?) {
    let isFirst = input.withLock { input in
      defer { input.isAtEnd = true }
      return !input.isAtEnd
    }
    guard isFirst else { return }
    job.endInput(error)
    core.closeStream(ObjectIdentifier(self))
  }

  /// Takes in no more. Does not wait for an input that is under way.
  func endInput() {
    end(nil)
    room.unpark()
  }

  func hurry(_ isHurried: Bool) {
    input.withLock { $0.hurries += isHurried ? 1 : -1 }
    if isHurried { room.unpark() }
  }

  func abandon(_ error: any Error) {
    job.abandon(error)
    endInput()
  }

  // MARK: The results

  /// What is next; see `PoolIterator.next`.
  func next(until deadline: Deadline) throws -> Output? {
    while true {
      let (item, next) = try arrived.withLock { arrived in try take(&arrived) }
      if let item { return item }
      switch next {
      case .later(let parker):
        if parker.park(until: deadline) { continue }
        job.forget(parker)
        throw TimeoutError()
      case .failed(let error): throw error
      case .chunk: continue  // Never: it has an item.
      case .end, nil: return nil
      }
    }
  }

  /// An item that has arrived, or else what is next.
  private func take(_ arrived: inout Arrived) throws -> (Output?, StreamJob.Next?) {
    if arrived.next < arrived.outputs.count {
      defer { arrived.next += 1 }
      return (arrived.outputs[arrived.next], nil)
    }
    let next = job.next()
    guard case .chunk(let outcome, let items) = next else { return (nil, next) }
    noteRoom()  // A chunk that failed makes room like any other.
    if let error = outcome.error(coders) { throw error }
    guard case .returned(let text) = outcome else { return (nil, next) }
    arrived.outputs = try Pool.decode(text, count: items, codec, task)
    arrived.next = 1
    return (arrived.outputs.first, next)
  }

  private func noteRoom() {
    let isWoken = input.withLock { input in
      guard input.isWaiting, job.outstanding <= lowMark else { return false }
      input.isWaiting = false
      return true
    }
    if isWoken { room.unpark() }
  }
}
