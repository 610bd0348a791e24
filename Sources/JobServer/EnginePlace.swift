import JobCore

/// Where a server keeps its engine, so that it can be read where it is.
///
/// A value that a class holds is copied when one of its methods is called, as the class might
/// change it meanwhile; of an engine, that counts some twenty references up and down. Memory that
/// cannot be copied is lent instead. Nobody may change the engine while it is lent: in a debug
/// build and in the simulation the check of exclusive access stops whoever does.
struct EnginePlace: ~Copyable {
  var engine: Engine

  /// Keeps `engine`.
  init(_ engine: consuming Engine) {
    self.engine = engine
  }

  /// Asks the engine what `body` wants to know, without a copy.
  @inline(__always)
  borrowing func lend<Answer>(_ body: (Engine) -> Answer) -> Answer { body(engine) }
}

extension Server {
  /// Asks the engine without a copy of it: for what each job asks.
  @inline(__always)
  func reading<Answer>(_ body: (Engine) -> Answer) -> Answer { place.lend(body) }

  /// A copy of the engine as it is: for what is asked now and then.
  var engine: Engine { place.engine }
}
