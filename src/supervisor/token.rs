//! What a descriptor in the supervisor's poller is of, as the number that epoll_ctl(2) keeps with it.

use super::notice::Stream;
use crate::event::RunId;

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A process has ended whose end is part of the end of a run.
    Process(RunId),
    /// A pipe of a run can be read.
    Pipe(RunId, Stream),
    /// The kernel has told of forks.
    Forks,
    /// A start is done.
    Starts,
}

/// Bits for the kind of a token.
const KIND_BITS: u32 = 3;

impl Token {
    /// As a number.
    pub fn data(self) -> u64 {
        let (kind, number) = match self {
            Token::Process(run) => (0, run.0),
            Token::Pipe(run, Stream::Out) => (1, run.0),
            Token::Pipe(run, Stream::Err) => (2, run.0),
            Token::Forks => (3, 0),
            Token::Starts => (4, 0),
        };
        number << KIND_BITS | kind
    }

    /// From such a number.
    pub fn from_data(data: u64) -> Token {
        let number = data >> KIND_BITS;
        match data & ((1 << KIND_BITS) - 1) {
            0 => Token::Process(RunId(number)),
            1 => Token::Pipe(RunId(number), Stream::Out),
            2 => Token::Pipe(RunId(number), Stream::Err),
            3 => Token::Forks,
            4 => Token::Starts,
            _ => unreachable!("only tokens are put into the poller"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_number() {
        let run = RunId(u64::MAX >> KIND_BITS);
        let (out, err) = (Token::Pipe(run, Stream::Out), Token::Pipe(run, Stream::Err));
        for token in [Token::Process(run), out, err, Token::Forks, Token::Starts] {
            assert_eq!(Token::from_data(token.data()), token);
        }
    }
}
